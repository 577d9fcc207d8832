extension ExportCommand {
  static let help = HelpText(
    usage: ["fin export [OPTIONS]"],
    examples: """
      fin export                                  on the loopback address
      fin export --web.listen-address :10995      on all addresses
      curl 127.0.0.1:10995/metrics                its metrics
      """,
    details: """
      Serves the metrics of fin help metrics over HTTP until SIGTERM or SIGINT: as OpenMetrics 1.0 or as the text \
      format 0.0.4 of Prometheus, as the Accept field of the request asks. The options have the names of Prometheus's \
      other exporters.

        /metrics     the metrics
        /            links to the others
        /-/healthy   answers as long as fin runs
        /-/ready     answers when a census could be taken

      A scrape takes a census; scrapes within a second share one. A census that takes longer than the scraper waits, \
      as X-Prometheus-Scrape-Timeout-Seconds says, ends the scrape with status 503, and the next one has its result. \
      Answers are not compressed: they have less than 500 kB, and scrapers do without.

      Only GET and HEAD are answered, and a request has 8,192 bytes at most, which arrive within 10 seconds. Where 256 \
      clients have not sent a whole request, the next one ends the connection of the oldest.

      There is no encryption and no password. The metrics name programs, units, listeners and the destinations of \
      connections: listen at other addresses than the loopback only where all who can connect may know them.
      """,
    statuses: """
      0    ended by a signal
      64   the command was not understood
      65   a mute file has a line that is not valid
      66   a mute file cannot be read
      69   the address could not be listened at, or the listener failed
      """)
}
