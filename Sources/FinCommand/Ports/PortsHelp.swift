extension PortsCommand {
  static let help = HelpText(
    usage: ["fin ports [PID|NAME …] [OPTIONS]"],
    examples: """
      fin ports                                   the ten fullest
      fin ports --over 10s api                    of one program, with rates
      fin ports --address 10.0.0.0/8 --port 5432  connections to these databases
      """,
    details: """
      A connection needs a local port, which connect chooses from ip_local_port_range without the reserved ports. A \
      port serves one connection for each destination, so every destination has a budget of its own; when it is used \
      up, connect fails with EADDRNOTAVAIL. The fullest budget comes first.

        #  connected: from SYN-SENT on
        =  TIME-WAIT: closed by this side first, kept for 60 s
        +  bound: taken by bind, for a listener, before a connect, or still unused
        .  free

      A bound port is missing for every destination: bind takes it from all programs, unless the program sets \
      IP_BIND_ADDRESS_NO_PORT before. The kernel does not record whether connect or bind chose the port of a \
      connection; fin infers the ports that bind chose from their numbers, and calls them probable. TIME-WAIT \
      entries that connect may reuse (tcp_tw_reuse) count as taken, and are listed separately.

      --over takes two snapshots. A connection that is only in the second was opened in between, so the rate is at \
      least that of these connections, and at most that of all connects that the kernel counts, minus those to other \
      destinations. fin computes from this rate, and from the ports that return from TIME-WAIT meanwhile, how long \
      the ports last.
      """,
    statuses: """
      0    shown, also if nothing matched
      64   the command was not understood
      65   the file of --from is not valid
      66   the file of --from cannot be read
      71   the kernel could not be queried
      """)
}
