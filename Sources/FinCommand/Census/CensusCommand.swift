import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin census`: writes a census of the machine to a file that the other commands can examine elsewhere.
struct CensusCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "census",
    abstract: "Write all that fin sees of the machine's sockets as JSON, for --from of other commands.")

  @Flag(help: "Replace names, addresses, users, arguments and paths, the same by the same.")
  var redact = false

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func run() throws {
    let record: CensusRecord
    do {
      record = try CensusRecord.take(looking.census, without: getpid())
    } catch {
      throw ExitStatus.kernelFailure.because("\(error)")
    }
    Output.write(record.json(writer: CommandVersion.current, redacted: redact))
    for sentence in record.census.gaps.sentences { Output.complain(sentence) }
  }
}
