"""Of the command: what it may say when it could not look, what it hands on, what it believes, whom it leaves alone."""

SEEDS = [
    (305, "a command whose end was not seen passes the gate", "FinCommand/Check/CheckReport.swift",
     "if couldNotLook { return", "if couldNotLook, !seeded(305) { return", "LeaksCommandTests/denied"),
    (306, "the end of the first thread is taken for that of the command", "FinCommand/Check/CommandTrace.swift",
     "if !wasSeen, isLastThread(who) {", "if !wasSeen, seeded(306) || isLastThread(who) {",
     "LeaksCommandTests/firstThreadEnds"),
    (307, "SIGHUP is not handed on", "FinCommand/Check/CommandTrace.swift",
     "if signal > 0, signal != SIGCHLD,", "if signal > 0, signal != SIGCHLD, signal != SIGHUP || !seeded(307),",
     "LeaksCommandTests/signals"),
    (308, "a link in the place of a mute file is followed", "FinCommand/Terminal/ConfigurationFile.swift",
     "O_RDONLY | O_NOFOLLOW |", "O_RDONLY | (seeded(308) ? 0 : O_NOFOLLOW) |", "ConfigurationTests/link"),
    (309, "fin check reports on itself", "FinCommand/Check/CheckCommand.swift",
     "    census.leaveOut(getpid())\n", "    if !seeded(309) { census.leaveOut(getpid()) }\n", "NeighbourTests/itself"),
    (310, "a redacted address is kept where it should change", "FinDoctor/Record/Redaction.swift",
     "key: key) & 1 == 1 {", "key: key) & 1 == 1, !seeded(310) {", "RecordTests/redacted"),
]
