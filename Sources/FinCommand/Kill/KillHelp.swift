extension KillCommand {
  static let help = HelpText(
    usage: ["fin kill ADDR:PORT[,ADDR:PORT] … [OPTIONS]"],
    examples: """
      fin kill 10.0.0.7:5432 --dry-run          every connection from or to there
      fin kill 10.0.0.1:41234,10.0.0.7:5432     this one
      fin kill --yes '[::1]:8080'               without asking
      """,
    details: """
      ADDR:PORT names every connection with this local or remote end; ADDR:PORT,ADDR:PORT the one from the first to \
      the second. IPv6 stands in brackets, with the interface of a link-local address: [fe80::1%eth0]:80. Only the \
      network namespace that fin runs in is meant, unless --namespace names another: two namespaces may use the same \
      addresses.

      Lists the named connections, asks, and has the kernel end each. The request carries the socket's cookie, which \
      the kernel compares: a new connection that reuses the addresses and ports of one that has ended meanwhile is \
      not hit. Then fin takes a second snapshot, and reports the result for each connection.

      The program gets ECONNABORTED from its next call, and the peer is sent a RST, unless the state allows none \
      (SYN-SENT, LAST-ACK, CLOSING, TIME-WAIT). A TIME-WAIT entry is removed, and its port is free at once. The \
      descriptor is not closed: it stays with its program until the program closes it.

      Listeners are spared without --listeners. With --udp, UDP sockets are ended instead. fin kill needs \
      CAP_NET_ADMIN in the user namespace of the sockets' network: usually root. Sockets of other network namespaces \
      are ended from inside these namespaces.
      """,
    statuses: """
      0    all that was named has ended; with --dry-run, something is named
      1    some of it has not ended
      2    not confirmed: the answer was no, or there was no terminal and no --yes
      64   the command was not understood
      65   two ends name several sockets: add the interface to the address
      69   nothing is named that may be ended
      71   the kernel could not be queried, or cannot end sockets
      77   not permitted
      """)
}
