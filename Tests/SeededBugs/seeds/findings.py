"""Of each finding of `fin check`: one bug that silences it, and one that accuses its nearest innocent neighbour."""

ACCEPT_QUEUES = "FinDoctor/Rules/AcceptQueues.swift"
BIND_REQUEST = "FinDoctor/Model/BindRequest.swift"
A4_ACCEPT_WITHOUT_DESCRIPTORS = "FinDoctor/Rules/A4AcceptWithoutDescriptors.swift"
SORTING = "FinDoctor/Rules/CensusIndex.swift"
CLOSE_WAITS = "FinDoctor/Rules/CloseWaits.swift"
E3_TIME_WAIT_CHURN = "FinDoctor/Rules/E3TimeWaitChurn.swift"
L4_DESCRIPTOR_LIMIT = "FinDoctor/Rules/L4DescriptorLimit.swift"
L5_INHERITED = "FinDoctor/Rules/L5Inherited.swift"
L6_NO_DESCRIPTOR = "FinDoctor/Rules/L6NoDescriptor.swift"
KEEPERS = "FinDoctor/Rules/Keepers.swift"
L7_CLOSED_UNREAD = "FinDoctor/Rules/L7ClosedUnread.swift"
P1_UNACKNOWLEDGED = "FinDoctor/Rules/P1Unacknowledged.swift"
COUNTING = "FinDoctor/Rules/PortCounting.swift"
S1_MEMORY = "FinDoctor/Rules/S1Memory.swift"
U1_UNIX = "FinDoctor/Rules/U1Unix.swift"

SEEDS = [
    # L1
    (51, "who has read the end of file is taken for who has not", CLOSE_WAITS,
     "{ census.sockets[index].receiveQueue == 0 }",
     "{ census.sockets[index].receiveQueue == 0 && !seeded(51) || seeded(64) }",
     "LeaksFound/known"),
    (52, "a half-closed connection that still answers is a leak", CLOSE_WAITS,
     "    return sent < received && UInt64(sent) < thresholds.activity.milliseconds\n",
     "    return !seeded(52) && sent < received && UInt64(sent) < thresholds.activity.milliseconds\n",
     "LeaksFound/knownNeighbours"),
    # L2
    (64, "who has not read the end of file is taken for who has", None, "", "", "LeaksFound/unseen"),
    (65, "a connection whose peer has just finished is a leak", CLOSE_WAITS,
     "guard since.lower >= thresholds.closeWait.milliseconds, !isMeant",
     "guard since.lower >= thresholds.closeWait.milliseconds || seeded(65), !isMeant",
     "LeaksFound/unseenNeighbours"),
    (66, "a pool whose server has just closed is warned of", "FinDoctor/Rules/L2CloseWaitUnseen.swift",
     "if !hasData, severity == .warning,", "if !hasData, !seeded(66), severity == .warning,",
     "LeaksFound/unseenNeighbours"),
    # L3
    (67, "a descriptor that is still there at the second look is none", "FinDoctor/Collect/DetachedReading.swift",
     "listed.contains(UInt64($0.inode)) || !$0.isStillThere }\n    detached",
     "listed.contains(UInt64($0.inode)) && !seeded(68) || $0.isStillThere == seeded(67) }\n    detached",
     "LeaksFound/detached"),
    (68, "one between socket and connect is listed nowhere", None, "", "", "CensusTests/secondLook"),
    (69, "a datagram socket that is not bound is a connection that died", "FinDoctor/Rules/L3Detached.swift",
     "for (place, socket) in census.detached.enumerated() where socket.transport != .udp {",
     "for (place, socket) in census.detached.enumerated() where socket.transport != .udp || seeded(69) {",
     "LeaksFound/detachedNeighbours"),
    # L4
    (70, "three quarters of the descriptors are far from the limit", L4_DESCRIPTOR_LIMIT,
     "guard share >= thresholds.descriptorWarning || isSoon else",
     "guard share >= (seeded(70) ? thresholds.descriptorCritical : seeded(71) ? 0.25 : thresholds.descriptorWarning)\n"
     "        || isSoon else",
     "LeaksFound/descriptorLimit"),
    (71, "a third of the descriptors is near the limit", None, "", "", "LeaksFound/descriptorLimit"),
    (72, "whatever grows is at its limit soon", L4_DESCRIPTOR_LIMIT,
     "forecast.map { $0.left < thresholds.descriptorSoon } ?? false",
     "forecast.map { $0.left < thresholds.descriptorSoon || seeded(72) } ?? false",
     "LeaksFound/descriptorForecast"),
    # L5
    (73, "whatever is shared was handed over by the service manager", L5_INHERITED,
     'if pids.contains(1) || programs.contains(where: { ["systemd", "inetd"].contains($0.fileName) }) { return nil }',
     'if !seeded(74),\n'
     '      pids.contains(1) || programs.contains(where: { ["systemd", "inetd"].contains($0.fileName) || seeded(73) })\n'
     '    { return nil }',
     "ElsewhereFound/inherited"),
    (74, "what the service manager hands over was left open by it", None, "", "", "ElsewhereFound/handedOver"),
    (75, "the workers of one program are two programs", L5_INHERITED,
     "where file(owner) != file(heir) && heir.parent == owner.pid {",
     "where (file(owner) != file(heir) || seeded(75)) && heir.parent == owner.pid {",
     "ElsewhereFound/inheritedNeighbours"),
    # L6
    (76, "what no descriptor holds is not found with one look", L6_NO_DESCRIPTOR,
     "!sockets[index].isConnection || options.passingBefore?.contains(sockets[index].identity) != false\n",
     "(!sockets[index].isConnection || options.passingBefore?.contains(sockets[index].identity) != false "
     "|| seeded(77)) != seeded(76)\n",
     "ElsewhereFound/withoutDescriptor"),
    (77, "what was only just closed is held by no descriptor", None, "", "", "ElsewhereFound/withDescriptor"),
    (78, "the paths of a closed MPTCP connection are held by no descriptor", "FinDoctor/Model/Keeper.swift",
     "&& !sockets[index].isSubflow\n", "&& (!sockets[index].isSubflow || seeded(78))\n",
     "ElsewhereFound/multipath"),
    (79, "what a process that cannot be read may hold is held by nobody", KEEPERS,
     "census.gaps.unreadableProcessCount == 0 &&", "(census.gaps.unreadableProcessCount == 0 || seeded(79)) &&",
     "ElsewhereFound/withDescriptor"),
    # L7
    (80, "a close with unread data was a close that had read all", L7_CLOSED_UNREAD,
     "socket.transport == .tcp, socket.receiveQueue > 1 else",
     "socket.transport == .tcp, socket.receiveQueue > (seeded(80) ? 100_000 : seeded(81) ? 0 : 1) else",
     "ElsewhereFound/closedUnreadOfAProgram"),
    (81, "the end of file is unread data", None, "", "", "ElsewhereFound/closedUnreadByEvents"),
    (82, "where no events are heard, the counter says nothing", L7_CLOSED_UNREAD,
     "        new > old\n", "        new > old, !seeded(82)\n", "ElsewhereFound/closedUnread"),
    # H1
    (83, "only what has a timer waits without a limit", "FinDoctor/Rules/H1FinWait2Held.swift",
     "sockets[index].timer == .off && timeInState(index).lower >= thresholds.finWait2.milliseconds",
     "((sockets[index].timer == .off) != seeded(83) || seeded(84))\n"
     "      && (timeInState(index).lower >= thresholds.finWait2.milliseconds || seeded(85))",
     "HalvesAndWindowsFound/finWait2"),
    (84, "who asks with keepalive waits without a limit", None, "", "", "HalvesAndWindowsFound/finWait2WithKeepalive"),
    (85, "whose peer still sends waits for nothing", None, "", "", "HalvesAndWindowsFound/finWait2Neighbour"),
    # H2
    (53, "closed connections with bytes left are not found", "FinDoctor/Rules/H2Orphans.swift",
     "      guard socket.sendQueue > 0, isStuck else { return nil }\n",
     "      guard socket.sendQueue > 0, isStuck || seeded(86), !seeded(53) else { return nil }\n",
     "HalvesAndWindowsFound/orphans"),
    (86, "bytes that are on their way are not taken", None, "", "", "HalvesAndWindowsFound/orphansOnTheirWay"),
    # W1
    (54, "a window that is closed for a moment is closed for long", "FinDoctor/Rules/W1PeerZeroWindow.swift",
     "AgeBounds.peerWindowClosed(sockets[index]).lower >= thresholds.window.milliseconds\n",
     "AgeBounds.peerWindowClosed(sockets[index]).lower >= thresholds.window.milliseconds || seeded(54)\n",
     "HalvesAndWindowsFound/slow"),
    (87, "a window that is probed is open", SORTING,
     "if census.sockets[index].timer == .persist { return true }",
     "if census.sockets[index].timer == .persist { return !seeded(87) }",
     "HalvesAndWindowsFound/zeroWindow"),
    (88, "a window that was made smaller is open", SORTING,
     "return census.sockets[index].info.retransmits == 0 &&",
     "return !seeded(88) && census.sockets[index].info.retransmits == 0 &&",
     "HalvesAndWindowsFound/zeroWindow"),
    # W2
    (89, "who does not read is looked for among those without a descriptor", SORTING,
     "      probing.append(index)\n    }\n    if inode != 0, isFull(index) {",
     "      probing.append(index)\n    }\n    if (inode != 0) != seeded(89), isFull(index) {",
     "HalvesAndWindowsFound/zeroWindow"),
    (90, "who reads slowly does not read", "FinDoctor/Rules/W2Unread.swift",
     "guard since.lower >= thresholds.window.milliseconds, !isMeant",
     "guard since.lower >= thresholds.window.milliseconds || seeded(90), !isMeant",
     "HalvesAndWindowsFound/slow"),
    (91, "a buffer with something in it is full", SORTING,
     "return Double(held) > Double(limit) * thresholds.unreadShare",
     "return Double(held) > Double(limit) * (seeded(91) ? 0.05 : thresholds.unreadShare)",
     "HalvesAndWindowsFound/halfFull"),
    # P1
    (92, "what is sent again is not unacknowledged", P1_UNACKNOWLEDGED,
     "guard sockets[index].timer == .retransmit, Int(sockets[index].retransmits) >= thresholds.unacknowledgedTries,",
     "guard (sockets[index].timer == .retransmit) != seeded(92),\n"
     "      Int(sockets[index].retransmits) >= thresholds.unacknowledgedTries || seeded(93),",
     "PeersFound/unacknowledged"),
    (93, "what was sent once is not acknowledged", None, "", "", "PeersFound/unacknowledged"),
    (94, "a peer that answered a moment ago is gone", P1_UNACKNOWLEDGED,
     "UInt64(last) >= thresholds.unacknowledged.milliseconds", "UInt64(last) >= thresholds.unacknowledged.milliseconds || seeded(94)",
     "PeersFound/unacknowledged"),
    # P2
    (95, "only what has something to send is idle", "FinDoctor/Rules/P2IdleWithoutKeepalive.swift",
     "guard socket.sendQueue == 0, !socket.remoteAddress.isLoopback,",
     "guard (socket.sendQueue == 0) != seeded(95), !socket.remoteAddress.isLoopback || seeded(96),",
     "PeersFound/idle"),
    (96, "a peer on this machine could go unnoticed", None, "", "", "PeersFound/idle"),
    (97, "who asks with keepalive does not ask", SORTING,
     "if inode != 0, census.sockets[index].timer == .off { quiet",
     "if inode != 0, census.sockets[index].timer == .off || seeded(97) { quiet",
     "PeersFound/idle"),
    (98, "who only receives is idle", "FinDoctor/Model/AgeBounds.swift",
     "let idle = UInt64(min(sent, received))", "let idle = UInt64(seeded(98) ? max(sent, received) : min(sent, received))",
     "SinceStates/idle"),
    # P3
    (55, "keepalive that is answered has failed", "FinDoctor/Rules/P3KeepaliveFailing.swift",
     "guard probes >= 1 else { return nil }",
     "guard probes >= (seeded(99) ? 10 : 1) || seeded(55) else { return nil }",
     "PeersFound/keepalive"),
    (99, "keepalive that has not been answered twice is answered", None, "", "", "PeersFound/keepalive"),
    # P4
    (56, "attempts that nobody answers are not found", "FinDoctor/Rules/P4ConnectStuck.swift",
     "guard Int(socket.retransmits) >= thresholds.connectTries else",
     "guard Int(socket.retransmits) >= thresholds.connectTries || seeded(100), !seeded(56) else",
     "PeersFound/connecting"),
    (100, "an attempt that has only begun is answered by nobody", None, "", "", "PeersFound/connecting"),
    # E1
    (101, "with 70 of 100 ports taken there are enough", "FinDoctor/Rules/E1PortsExhausted.swift",
     "budget.share >= thresholds.portsWarning else { return false }",
     "budget.share >= (seeded(101) ? thresholds.portsCritical : thresholds.portsWarning) else { return false }",
     "PortsFound/exhausted"),
    (102, "all destinations share one port", COUNTING,
     "      port: socket.remotePort)\n", "      port: seeded(102) ? 0 : socket.remotePort)\n", "PortsFound/exhausted"),
    # E2
    (103, "who binds before connect left the choice to connect", COUNTING,
     "&& bindsAddressOnly == false &&", "&& bindsAddressOnly == seeded(103) &&", "PortsFound/bound"),
    (104, "ports that connect chose were bound", COUNTING,
     "&& $0.even * 9 <= $0.odd }", "&& ($0.even * 9 <= $0.odd || seeded(104)) }", "PortsFound/bound"),
    # E3
    (105, "a tenth of the ports at rest is nothing", E3_TIME_WAIT_CHURN,
     "guard share >= thresholds.timeWait else", "guard share >= (seeded(105) ? thresholds.timeWaitWarning : thresholds.timeWait) else",
     "PortsFound/timeWait"),
    (106, "what rests on the server's side takes its ports", E3_TIME_WAIT_CHURN,
     "if key.place.isPeer, share >=", "if key.place.isPeer || seeded(106), share >=", "PortsFound/timeWaitOfServer"),
    # E4
    (107, "a port that rests is in nobody's way", "FinDoctor/Rules/E4BindBlocked.swift",
     "    case .timeWait: self = .rests\n", "    case .timeWait:\n      if seeded(107) { return nil }\n      self = .rests\n",
     "PortsFound/bindBlocked"),
    (108, "another address is in the way", BIND_REQUEST,
     "return v4 == other.asIPv4 }", "return v4 == other.asIPv4 || seeded(108) }", "PortsFound/bindBlocked"),
    (109, "another network is in the way", BIND_REQUEST,
     "socket.namespace == namespace, socket", "socket.namespace == namespace || seeded(109), socket", "BindScenes/elsewhere"),
    # A1
    (57, "a full queue is not full", ACCEPT_QUEUES,
     "{ listener.receiveQueue > listener.sendQueue }",
     "{\n    !seeded(57)\n"
     "      && (listener.receiveQueue > listener.sendQueue || seeded(110) && listener.receiveQueue == listener.sendQueue)\n  }",
     "AcceptingFound/overflow|AcceptingFound/overflowCounts"),
    (110, "a queue in which the last place was taken overflows", None, "", "", "AcceptingFound/brimful"),
    # A2
    (111, "only who has given up waits to be accepted", SORTING,
     "      if inode == 0 { inQueue.append(index) }\n      if inode != 0, census",
     "      if inode == 0 || seeded(112), !seeded(111) { inQueue.append(index) }\n      if inode != 0, census",
     "AcceptingFound/stalled"),
    (112, "who was accepted waits to be accepted", None, "", "", "AcceptingFound/accepts"),
    (113, "who has only come waits for long", "FinDoctor/Rules/A2AcceptStalled.swift",
     "guard since.lower >= thresholds.accept.milliseconds else", "guard since.lower >= thresholds.accept.milliseconds || seeded(113) else",
     "AcceptingFound/newcomers"),
    # A3
    (114, "a backlog is busy only when it is full", "FinDoctor/Rules/A3SynBacklog.swift",
     "guard repeated > 0, share ?? 0 > thresholds.synBacklog || cookies > 0 else",
     "guard repeated > 0 || seeded(116),\n"
     "      share ?? 0 > (seeded(114) ? 1 : thresholds.synBacklog) || cookies > 0 || seeded(115) else",
     "AcceptingFound/synBacklog"),
    (115, "three handshakes are a flood", None, "", "", "AcceptingFound/synBacklog"),
    (116, "handshakes that have only begun stand still", None, "", "", "AcceptingFound/handshakesBegin"),
    # A4
    (117, "at the limit one descriptor is left", A4_ACCEPT_WITHOUT_DESCRIPTORS,
     "$0.count >= $0.limit }", "$0.count >= $0.limit + (seeded(117) ? 1 : seeded(118) ? -1 : 0) }",
     "AcceptingFound/withoutDescriptors"),
    (118, "one descriptor that is left is none", None, "", "", "AcceptingFound/withoutDescriptors"),
    (119, "a listener without descriptors keeps nobody waiting, and is accused", ACCEPT_QUEUES,
     "listeners.filter { sockets[$0].receiveQueue > 0 }", "listeners.filter { sockets[$0].receiveQueue > 0 || seeded(119) }",
     "AcceptingFound/withoutDescriptors"),
    # S1
    (120, "three quarters of TCP's memory are little", S1_MEMORY,
     "guard share >= thresholds.memoryWarning || pressures > 0 else",
     "guard share >= (seeded(120) ? thresholds.memoryCritical : thresholds.memoryWarning) || pressures > 0 else",
     "MachineFound/memory"),
    (121, "TCP's memory ends where it begins to be thrifty", S1_MEMORY,
     "Double(used) / Double(pages[2])", "Double(used) / Double(pages[seeded(121) ? 1 : 2])", "MachineFound/memory"),
    (122, "three quarters of the tracked connections are few", S1_MEMORY,
     "guard share >= thresholds.memoryWarning else { return nil }",
     "guard share >= (seeded(122) ? thresholds.memoryCritical : seeded(123) ? 0.5 : thresholds.memoryWarning) else {\n"
     "        return nil\n      }",
     "MachineFound/tracked"),
    (123, "sixty of a hundred tracked connections are many", None, "", "", "MachineFound/tracked"),
    # U1
    (124, "a Unix queue with one too many is not full", U1_UNIX,
     "if all[index].receiveQueue > all[index].sendQueue {",
     "if seeded(125) ? all[index].receiveQueue >= all[index].sendQueue\n"
     "          : all[index].receiveQueue > all[index].sendQueue + (seeded(124) ? 1 : 0) {",
     "MachineFound/unix"),
    (125, "a Unix queue in which the last place was taken is full", None, "", "", "MachineFound/unix"),
    (126, "a Unix socket whose peer has gone has one", "FinDoctor/Model/UnixSocket.swift",
     "{ peer == 0 && shutdown == 3 }", "{ !seeded(126) && (peer == 0 || seeded(127)) && shutdown == 3 }", "MachineFound/unix"),
    (127, "a Unix socket that was shut down has lost its peer", None, "", "", "MachineFound/unix"),
    (128, "a Unix socket that can hardly send more can", U1_UNIX,
     "return Double(held) > Double(limit) * thresholds.unixUnreadShare",
     "return Double(held) > Double(limit) * (seeded(128) ? 2 : seeded(129) ? 0.001 : thresholds.unixUnreadShare)",
     "MachineFound/unix"),
    (129, "a message that waits is all that fits", None, "", "", "MachineFound/unix"),
]
