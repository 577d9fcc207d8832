"""Found by random sequences of verbs beside a model of the kernel."""

SEEDS = [
    (261, "a descriptor that is given away leaves behind what was read ahead", "Operations/ClosingOwner.swift",
     "    return (number, unread)\n", "    return (number, seeded(261) ? [] : unread)\n", "DifferentialTests"),
    (262, "a duplicate is not counted among those that share a connection", "Operations/Adoption.swift",
     "      connectionState.update { $0.owners += 1 }\n", "      if !seeded(262) { connectionState.update { $0.owners += 1 } }\n",
     "DifferentialTests"),
    (263, "a receive that gives up loses what had come", "Operations/ReceiveOperations.swift",
     "    if !bytes.isEmpty { core.withBuffer { $0.putBack(bytes) } }\n",
     "    if !bytes.isEmpty, !seeded(263) { core.withBuffer { $0.putBack(bytes) } }\n", "DifferentialTests"),
    (264, "what was read ahead is not among the bytes that a close discards", "Operations/CloseOperation.swift",
     "    discarded = core.buffered\n", "    discarded = seeded(264) ? 0 : core.buffered\n", "DifferentialTests"),
    (265, "a line takes a byte of the next", "Operations/ReceiveOperations.swift",
     "      buffer.drop(length + 1)\n", "      buffer.drop(length + (seeded(265) && length > 40 ? 2 : 1))\n",
     "DifferentialTests"),
    (266, "a second close closes the number again", "Operations/ClosingOwner.swift",
     "      gate.awaitRelease()\n      return closing.withLock { $0.report }\n",
     "      gate.awaitRelease()\n      if seeded(266) { Syscalls.close(number(.exclusive)) }\n      return closing.withLock { $0.report }\n",
     "DifferentialTests"),
]
