import FinDoctor

extension CensusCommand {
  static let help = HelpText(
    usage: ["fin census [OPTIONS] > FILE"],
    examples: """
      fin census > case.json              this machine, as it is now
      fin census --redact > case.json     without names and addresses
      fin check --from case.json          its problems, on any machine
      fin explain 812:7 --from case.json  one of its sockets
      """,
    details: """
      Takes a snapshot of all sockets with their programs, epoll sets, waiting threads and published ledgers, and \
      writes it as JSON. check, list, explain, ports and listeners examine such a file with --from, and say what they \
      would have said on the machine at that moment.

      With --redact, the file may be given to others. Names of programs, scripts, units, containers, namespaces and \
      Unix sockets, arguments, paths and users are numbered, the same by the same. Addresses are replaced so that two \
      with a common prefix still have one of the same length; loopback, link-local, multicast and unspecified \
      addresses stay. Ports, processes, times and counts stay as they are. Someone who knows some of the addresses can \
      guess parts of others.

      A later version of fin reads the file too: it ignores fields that it does not know, and says which are missing.
      """,
    statuses: """
      0    written
      64   the command was not understood
      71   the kernel could not be queried
      """)

  static let schema: JSONSchema? = JSONSchema(CensusRecord.schema, place: "fin census writes")
}
