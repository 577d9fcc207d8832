extension ConnectCommand {
  static let help = HelpText(
    usage: ["fin connect [--from ADDR] [OPTIONS] HOST:PORT | PATH | @NAME"],
    examples: """
      fin connect localhost:7777              type, read the answers, Ctrl-D
      fin connect db:4000 < dump > answer     a file there, the answer back
      fin connect /run/app.sock < request     a Unix socket
      fin connect --verbose a.net:80 < /dev/null   which addresses answer?
      fin connect --tls a.net:443 < request   secured, and whole only if it says so
      """,
    details: """
      Sends standard input to the server and writes what it sends to standard output, both at once. When the input \
      ends, fin connect finishes sending, which the server reads as end of file, and goes on receiving until the \
      server finishes too. A server that finishes first may go on reading: fin connect sends the input to its end.

      With --no-half-close the end of the input is not passed on; the connection ends when the server finishes. Some \
      servers and proxies drop their answer when a client finishes sending.

      At the end, standard error says why the connection ended, and how many bytes were not delivered: those of the \
      input that the kernel did not take, and those that the server's kernel did not acknowledge. Acknowledged does \
      not mean read by the server's program. A Unix socket has no acknowledgements: there, delivered means read.

      SIGINT, SIGTERM and SIGHUP reset the connection, so that the server does not take a part for the whole. If \
      everything was sent and finished before, the connection is closed within --grace; a second signal resets it. \
      So does --idle. An output that cannot be written and an input that cannot be read reset the connection.

      --tls needs a fin that was built with the package trait TLS; fin's packages are built without it. The server's \
      certificate must have the name or the IP address before the port. The end of a secured stream is the server's \
      close_notify: without it the answer may be a part only, and the status is 76. The last line says which side said \
      close_notify, and --verbose shows the certificate, with the hash of its key for --pin.

      While much data moves, a line on standard error shows the amount and the rate, if it is a terminal.
      """,
    statuses: """
      0    the input has ended, the server has finished, everything was delivered
      5    the server reset the connection, or closed it before it had read all
      6    a time limit passed: --within, --idle, --grace, or one of the kernel's
      7    the kernel gave the connection up, or an administrator ended it
      64   the command was not understood
      66   the input, or the file of --ca, could not be read
      68   the name has no address
      69   no connection: refused, unreachable, no such path
      71   no descriptor or no thread
      76   TLS: the server is not proven to be the wanted one, the handshake
           failed, or the stream was cut off
      77   not permitted
      129, 130, 143   ended by SIGHUP, SIGINT, SIGTERM, after the report
      """)
}
