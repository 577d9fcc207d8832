import FinDoctor
import FinTerminal

/// A file of metrics for the textfile collector of node_exporter.
enum MetricsFile {
  /// Takes a census and replaces the file by its metrics, without times: the collector refuses a file with some.
  static func write(_ options: Census.Options, _ mutes: Mutes, to path: String) throws {
    var looks = MachineLooks(options, mutes, version: CommandVersion.current)
    let (samples, hidden) = try looks.taking()
    do throws(ReplacedFile.Refusal) {
      try ReplacedFile.write(Exposition.text.text(samples, isOfExporter: false), to: path)
    } catch {
      throw ExitStatus.outputFailed.because("\(visible(path)): \(error.reason)")
    }
    for sentence in hidden { Output.complain(sentence) }
  }
}

extension MachineLooks {
  /// Takes the next look, or ends the command with the reason why the kernel could not be queried.
  mutating func taking() throws -> (samples: [MetricSample], hidden: [String]) {
    do {
      return try next()
    } catch {
      throw ExitStatus.kernelFailure.because("\(error)")
    }
  }
}
