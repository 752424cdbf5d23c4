"""Records: every value that is stored or passed between rooms, one file a subject.

Records hold no rule and import no other room. Import from the subject's file.
"""
