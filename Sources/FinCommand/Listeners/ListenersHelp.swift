extension ListenersCommand {
  static let help = HelpText(
    usage: ["fin listeners [PID|NAME …] [OPTIONS]"],
    examples: """
      fin listeners --over 10s        with the drops of ten seconds
      fin listeners nginx --details   everything about every nginx
      fin listeners --port 443
      fin listeners --limit 5         the worst five
      """,
    details: """
      TCP listeners, and Unix listeners of streams and records; the worst first. A problem is explained below its \
      line; --details explains every listener.

        QUEUE   clients that wait for accept / their limit; full when more wait.
                The limit comes from the program's call of listen, or from the
                namespace's somaxconn
        OLDEST  how long the first of them has waited: one time, two bounds
                (3.2s-41s), >3.2s at least, <41s at most. Unix sockets keep no
                time
        GONE    the number of waiting clients that have already given up
        SYN     handshakes that the peers have not finished
        DROPS   attempts dropped since listen, because of a full queue or for
                another reason; with --over, /S is the current rate per second
        FDS     open descriptors of the program / its limit; of the fullest
                program, if several accept
        PROGRAM the holder; +2 if two more processes hold it (workers)

      Listeners of one address with SO_REUSEPORT have a line each. The kernel does not say in which of their queues a \
      client waits, so OLDEST and GONE may be those of the whole group.

      The programs that accept are found in epoll sets and in the system calls that threads are in, poll and select \
      among them.
      """,
    statuses: """
      0    shown, also if nothing matched
      64   the command was not understood
      65   the file of --from is not valid
      66   the file of --from cannot be read
      71   the kernel could not be queried
      """)
}
