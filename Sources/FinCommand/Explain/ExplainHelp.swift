extension ExplainCommand {
  static let help = HelpText(
    usage: ["fin explain PID[:FD] | ADDR:PORT[,ADDR:PORT] | PATH [OPTIONS]", "fin explain bind ADDR:PORT [OPTIONS]"],
    examples: """
      fin explain 812:7                     descriptor 7 of process 812
      fin explain 812                       all sockets of a process, worst first
      fin explain 127.0.0.1:8080            sockets with this address or peer
      fin explain :8080,10.0.0.7:51234      one connection: its own end, its peer's
      fin explain /run/app.sock             a Unix socket by its path, or @name
      fin explain bind :8080                what would refuse a listener there
      fin explain bind 127.0.0.1:53 --udp
      """,
    details: """
      Shows what happened to a socket and when, as far as the kernel can tell: one time, or a lower and an upper \
      bound. Also what the kernel will do next and when it gives up, which processes hold the socket, which of them \
      would notice an event, what is at the other end, and what happens if no program does anything. It changes \
      nothing and needs no root; without root, standard error says what could not be seen.

      bind takes `:PORT`, `*:PORT` and `[::]:PORT` for every address, IPv4 included unless --v6-only. fin \
      predicts the result from the sockets that are there, and asks the kernel only whether the machine has the \
      address. With --try it binds the port as well, to a socket of its own, does not listen, and closes it at once; \
      if another program binds the port at that moment, its bind fails.

      --deep copies the descriptor for a moment to read the socket's options; this needs root or the same user. During \
      that moment, a close by the program does not end the connection.
      """,
    statuses: """
      0    shown; bind: a listener with SO_REUSEADDR would succeed
      1    bind: it will be refused
      2    bind: it may be refused; only the program in the way knows
      64   the command was not understood
      65   the file of --from is not valid
      66   the file of --from cannot be read
      69   no such process, descriptor, socket or namespace, or it may not be seen
      71   the kernel could not be queried
      """)
}
