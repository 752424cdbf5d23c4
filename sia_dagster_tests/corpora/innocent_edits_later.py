"""Innocent edits that were written after the rules had been mended for the others; see `innocent_edits`."""

from sia_dagster_tests.corpora.innocent_edits import Setting

AIRLINE = Setting(
    "airline",
    "You are the chat assistant of Skyward Air. Help passengers with bookings, baggage and delays.\nBe brief. "
    "Never guess flight times.",
    (
        (
            "Hi I'm Omar Farouk, my flight SK1822 to Lisbon on June 4th is delayed, do I get compensation under EU261?",
            "Dear Mr Farouk, after 3 hours you may.",
        ),
        (
            "lost my suitcase at Heathrow Terminal 5, tag number SK 0098 7712",
            "Please file a report at Lost Property.",
        ),
        (
            "Can I bring a guitar in Business Class? Also my Gold Card number is 30049921",
            "Yes, one instrument.",
        ),
        (
            "how much for an extra 23kg bag to New York JFK",
            "It costs 60 EUR online.",
        ),
        (
            "Refund please. Booking reference K7PQ2M. Card ending 8841.",
            "I have passed it on.",
        ),
        (
            "my wife Linda Park is pregnant 34 weeks, can she fly?",
            "Until week 36, with a letter.",
        ),
    ),
    (
        "Under EU261 compensation starts at a delay of 3 hours; say that it depends on the cause.",
        "In Business Class and on long-haul flights two bags of 32 kg are included.",
        "If a suitcase is lost, ask for the tag number and point to the Lost Property desk.",
        "Never ask for the whole card number.",
        "For pregnancies: up to week 36 with a doctor's letter, after that not at all.",
        "Write flight numbers as AB1234, in capitals.",
        "If they fly from Heathrow, mention Terminal 5 only if the booking says so.",
        "Give weights in kg and sizes in cm (55 x 40 x 23 cm).",
        "Gold Card holders get priority boarding.",
        'Do not say "unfortunately" more than once.',
        "Offer rebooking before you offer a refund.",
    ),
)


ISSUES = Setting(
    "bug triage",
    "Label GitHub issues: bug, feature, question, duplicate. Then write one sentence why.\nOutput: label on "
    "the first line.",
    (
        (
            "TypeError: cannot read properties of undefined (reading 'map') in src/List.tsx since v3.1.0, "
            "Chrome 126 on Windows 11",
            "bug\nIt breaks since 3.1.0.",
        ),
        (
            "Please add Dark Mode. Thanks, @kevinb",
            "feature",
        ),
        (
            "How do I configure the proxy? docs link is dead: https://docs.example.com/proxy",
            "question",
        ),
        (
            "Same as #4521",
            "duplicate",
        ),
        (
            "Crash on Apple Silicon with Node.js 20, stack trace attached, see crash-2026-02-11.log",
            "bug",
        ),
    ),
    (
        "If there is a stack trace, the label is bug unless it is marked as a duplicate.",
        "References such as #123 to another issue suggest duplicate.",
        "Requests for Dark Mode and other looks are features.",
        "Mention the affected version (v3.1.0 or later) in the sentence if it is given.",
        "Node.js and browser versions are details and not the reason.",
        "TypeError and ReferenceError are bugs; a failed `npm install` is a question first.",
        "A dead link in the docs is a bug of the docs.",
        "Keep the sentence below 20 words.",
        "Apple Silicon and ARM reports need the word platform in the sentence.",
        'Never label by tone: "this is broken!!!" may be a question.',
    ),
)


RECIPES = Setting(
    "recipes",
    "Suggest recipes for what people have at home. Metric units. List ingredients first, then steps.",
    (
        (
            "I have chicken, 2 lemons and Greek yogurt. My son Theo is allergic to nuts",
            "Lemon chicken...",
        ),
        (
            "vegan dinner for 6, budget 20 dollars, no soy please",
            "Chickpea curry...",
        ),
        (
            "What can I cook with Thai Basil and Parma Ham? - Giulia Bianchi",
            "Try a salad...",
        ),
        (
            "how long do I boil eggs at 2500 m",
            "12 minutes.",
        ),
        (
            "I only have a microwave and 10 minutes",
            "Mug omelette...",
        ),
    ),
    (
        "Ask about allergies if none were named; nuts, soy, milk, egg and gluten are the common ones.",
        "Give times in minutes and temperatures in °C (180 °C fan).",
        "If the altitude is above 1500 m, add a third to boiling times.",
        "For each ingredient give the amount for 2 people unless a number is named.",
        "Parma Ham and other cured meats are not for pregnant women: say so.",
        "Use Greek yogurt as a substitute for sour cream.",
        "1. Ingredients\n2. Steps\n3. One tip",
        "Only suggest dishes that fit the equipment (microwave, one pan, no oven).",
        "A budget is a limit and not a goal.",
        "Do not moralise about vegan or meat dishes.",
    ),
)


ESSAYS = Setting(
    "academic",
    "Give feedback on student essays. Strengths first. Do not rewrite the essay. Use the rubric: argument, "
    "evidence, structure, style.",
    (
        (
            "Essay by Hannah Lee on The Great Gatsby: Fitzgerald shows the American Dream as an illusion "
            "(Fitzgerald 1925, p. 180).",
            "Strength: clear thesis.",
        ),
        (
            "My essay about the French Revolution, 1789-1799. Professor Ian Clarke said it lacks evidence.",
            "Evidence: cite sources.",
        ),
        (
            "Is it ok to cite Wikipedia?",
            "Better cite the source itself.",
        ),
        (
            "Climate change essay, IPCC 2021 report says warming of 1.5 degrees is likely by 2040.",
            "Good evidence.",
        ),
        (
            "grade please!! A or B?",
            "I do not grade.",
        ),
    ),
    (
        "Never give a grade, even if asked (A, B, C or percent).",
        "Check that citations name author, year and page, e.g. (Author 1999, p. 12).",
        "Point to at most two places per rubric item, quoting no more than five words.",
        "If a source is Wikipedia, suggest the sources that it cites.",
        "For history essays ask whether causes and effects are kept apart.",
        "Use the words of the rubric as headings: Argument, Evidence, Structure, Style.",
        "Don't comment on the student's teacher.",
        "Essays on novels such as The Great Gatsby need page numbers.",
        'Praise what is specific, not "good job".',
        "End with one question that the student could answer in the next draft.",
    ),
)


HELPDESK = Setting(
    "it helpdesk",
    "Du bist der IT-Helpdesk. Antworte auf Deutsch, kurz, mit nummerierten Schritten.",
    (
        (
            "Outlook startet nicht mehr, Fehler 0x800CCC0E, Rechner NB-4471, Peter Schulz",
            "1. Outlook im abgesicherten Modus starten.",
        ),
        (
            "Passwort vergessen!! Benutzer: mweber",
            "1. Self-Service öffnen.",
        ),
        (
            "VPN geht nicht im Home Office, seit dem Update auf 24H2",
            "1. Client neu installieren.",
        ),
        (
            "Drucker im 3. Stock druckt nur leere Seiten",
            "1. Toner prüfen.",
        ),
        (
            "Wie richte ich die Zwei-Faktor-Anmeldung auf dem neuen Handy ein?",
            "1. App öffnen.",
        ),
    ),
    (
        "Frage zuerst nach dem Fehlercode (z. B. 0x80070005), wenn keiner genannt ist.",
        "Bitte nie um Passwörter und nenne keine Rechnernamen.",
        "Im Home Office zuerst die Internetverbindung prüfen lassen, dann das VPN.",
        "Höchstens 6 Schritte; jeder Schritt ein Satz.",
        "Bei Outlook: abgesicherter Modus mit `outlook.exe /safe`.",
        'Verweise bei der Zwei-Faktor-Anmeldung auf das Portal "Mein Konto".',
        "Wenn nach drei Schritten nichts hilft: Ticket anlegen und die Nummer nennen.",
        "Duze nicht; schreibe Sie.",
        "Nenne bei Druckern das Stockwerk nicht, sondern den Standort laut Ticket.",
        "Hinweis: Updates laufen mittwochs ab 18:00 Uhr.",
    ),
)
