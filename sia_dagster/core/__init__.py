"""The domain, without I/O, clock or vendors: from the spans of a window to a verdict on a candidate policy.

`records`, `config` and `ports` hold the stored values, the configuration and the interfaces. `openinference`,
`template_recovery`, `attribution` and `traffic` read a window; `evaluators` and `judge_watch` score it; `search`,
`prompting` and `guard` propose and check candidates; `replay`, `statistics` and `gate` decide on them; `policy`
promotes, `next_window` checks the promised gain, and `cost` estimates.
"""
