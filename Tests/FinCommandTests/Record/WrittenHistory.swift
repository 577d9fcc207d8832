import Peers

@testable import FinCommand
@testable import FinDoctor

/// Histories of made-up looks, written by the recorder's own writer.
enum WrittenHistory {
  /// Writes a look for each census, 20 s after each other.
  /// - Parameters:
  ///   - begin: The moment of the first one, in milliseconds since 1970.
  ///   - host: The machine that it is about.
  static func of(_ censuses: [Census], from begin: Int64, host: String = "db-1") throws -> HistoryPlaceOnDisk {
    let place = try HistoryPlaceOnDisk()
    let writer = try HistoryWriter(
      HistoryFolder(place.path), .init(), .init(version: "0", period: 20_000, boot: "b", kernel: "6.1.0", host: host))
    for (turn, census) in censuses.enumerated() {
      var census = census
      let now = Int64(turn) * 20_000
      census.when = Census.Moment(monotonic: UInt64(1_000_000 + now) * 1_000_000, wall: (begin + now) * 1_000_000)
      _ = try writer.write(.init(census, Diagnosis.findings(in: census), sinceBoot: 1_000_000 + now)) { census in
        var record = CensusRecord()
        record.census = census
        record.retryLimits = [TCPRetryLimits()]
        return record
      }
    }
    writer.finish()
    return place
  }
}
