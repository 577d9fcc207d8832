extension RelayCommand {
  static let help = HelpText(
    usage: ["fin relay ADDR TARGET … [OPTIONS]"],
    examples: """
      fin relay :8080 localhost:80                  see how the connections end
      fin relay :5432 db1:5432 db2:5432             db2 when db1 does not answer
      fin relay localhost:2375 /run/docker.sock     TCP to a Unix socket
      fin relay :80 10.0.0.7:80 --send-proxy        the target learns the client
      fin relay :8443 :80 --tls --cert chain.pem --key key.pem
      fin relay :7 host:7 --handover /run/relay7    twice: the second takes over
      """,
    details: """
      Passes the bytes of each client on to the target and back, and prints a line for each connection that has ended. \
      The ends are kept: a FIN is passed on as a FIN, after the last byte, and the other direction goes on; a reset is \
      passed on as a reset, after every byte that came before it has been acknowledged, for which --grace is the \
      limit. So a client never takes a broken answer for a whole one because of the relay. A Unix socket has no \
      reset: its peer reads an end of file. While a program that reads the lines does not take them, clients wait once \
      the pipe is full, and a line that cannot be written stops fin.

      With several targets the first that answers takes the connection. The next one is tried when an attempt fails or \
      has run for 250 ms, while the earlier attempts go on. A client whose connection no target takes is reset, and \
      its line says why.

      --idle, --half-closed and --whole end what hangs: both sides are reset, and the line names the limit. Bytes \
      begin the time anew, also those that a slow peer takes from the kernel's queue.

      With --proxy every connection has to begin with a PROXY header, and has to come from an address of --trust. \
      --send-proxy writes such a header of version 2 for the target, with the client's address, or the one that \
      --proxy has read; it is the first that the target gets, before TLS.

      --tls secures the clients' side, and --target-tls the target's; each needs a fin that was built with the package \
      trait TLS. close_notify then counts as the FIN, and a side that ends without it was cut off: the other side is \
      reset.

      --handover lets a relay be replaced without a client noticing, as fin serve does. SIGTERM, SIGINT and SIGHUP \
      stop the relay: it takes no new clients, passes on those that have come, and gives them --grace to end; what is \
      left then, or at a second signal, is reset. A third signal ends fin as it is. On a terminal, a line shows how \
      fast the bytes move.
      """,
    statuses: """
      0    stopped, and every connection had ended
      1    stopped; some were reset at the end of --grace, or by a second signal
      64   the command was not understood
      66   the file of --cert, of --key or of --target-ca could not be used
      68   the name to listen at has no address
      69   the address cannot be listened on, or the relay at the --handover path
           does not hand over
      71   the kernel ended the listener
      77   not permitted: a port below 1024, or the folder of a path
      """)
}
