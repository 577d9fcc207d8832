/// Intervals from looks: a socket has one for each state and set of owners, from the first look that saw it so to the
/// last one. A pure value: it reads no clock and writes nothing.
package struct Spans: Sendable {
  /// How an interval ended.
  package enum Ending: Int64, Sendable {
    /// It has not ended, as far as the file knows: it lasts to the file's last look at least.
    case open = 2
    /// The socket was gone at the next look, and its process was not.
    case closed = 3
    /// The socket had another state at the next look.
    case otherState = 4
    /// Other descriptors held it at the next look.
    case otherOwners = 5
    /// The socket was gone at the next look, and so was the process that held it.
    case processEnded = 6
    /// It goes on in the next file.
    case continued = 7
  }

  /// An interval that has not ended.
  package struct Open: Sendable {
    /// The number of its row in the current file.
    package var row: Int64
    /// The socket as the latest look saw it, with the longest queues of all looks.
    package var observed: Observed
    /// The moment of its first look, in milliseconds of the monotonic clock.
    package var seen: Int64
    /// The moment of the look before that, which did not see it; nil at the first look of all.
    package var notSeen: Int64?

    /// The time in the state at a later moment: by the first fields of the kernel, and by the looks.
    func age(at moment: Int64) -> AgeBounds {
      let since = UInt64(max(0, moment - seen))
      let upper = observed.since.upper == .max ? .max : observed.since.upper + since
      let looked = notSeen.map { UInt64(max(0, moment - $0)) } ?? .max
      let bound = min(upper, looked)
      return AgeBounds(atLeast: min(observed.since.lower + since, bound), atMost: bound == .max ? nil : bound)
    }
  }

  /// The changes of one look, to be written.
  package struct Changes: Sendable {
    /// The intervals that began, with the time in the state before, where that is not bounded by looks.
    package var opened: [(row: Int64, observed: Observed, since: AgeBounds?)] = []
    /// The intervals that ended, with the longest queues that they had.
    package var closed: [Closed] = []

    /// An interval that ended: the socket was last seen so at the look before.
    package struct Closed: Sendable {
      package var span: Open
      package var ending: Ending
    }
  }

  /// The intervals that have not ended.
  package private(set) var open: [Observed.Key: Open] = [:]
  /// The sockets that the look before saw, and the latest one did not.
  private var gone: Set<Observed.Key> = []
  private var lastRow: Int64 = 0
  private var latest: Int64?

  package init() {}

  /// Whether one of the last two looks saw a connection. The kernel may report its end only after the look that no
  /// longer sees it.
  func saw(_ identity: UInt64) -> Bool {
    let key = Observed.Key(identity, isUnix: false)
    return open[key] != nil || gone.contains(key)
  }

  /// The number of the newest row.
  package var newest: Int64 { lastRow }

  /// Takes what a look saw.
  /// - Parameters:
  ///   - seen: The sockets. If two have one key, the first counts.
  ///   - moment: The moment of the look, in milliseconds of the monotonic clock.
  ///   - runs: Whether the process of an owner still runs.
  package mutating func look(
    _ seen: [Observed], at moment: Int64, runs: (Observed.Owner) -> Bool = { _ in true }
  ) -> Changes {
    var changes = Changes()
    var next: [Observed.Key: Open] = [:]
    next.reserveCapacity(seen.count)
    for one in seen where next[one.key] == nil {
      if var before = open[one.key] {
        open[one.key] = nil
        if one.continues(before.observed) {
          before.observed.take(queuesOf: one)
          next[one.key] = before
          continue
        }
        changes.close(before, one.state == before.observed.state ? .otherOwners : .otherState)
      }
      lastRow += 1
      next[one.key] = Open(row: lastRow, observed: one, seen: moment, notSeen: latest)
      changes.opened.append((lastRow, one, latest == nil ? one.since : nil))
    }
    // Those that no look will see again, in the order of their rows.
    for gone in open.values.sorted(by: { $0.row < $1.row }) {
      let owner = gone.observed.owners.first
      changes.close(gone, owner.map(runs) == false ? .processEnded : .closed)
    }
    gone = Set(open.keys)
    open = next
    latest = moment
    return changes
  }

  /// Begins a new file: every open interval gets a row there.
  /// - Returns: The rows, to be written before those of the next look.
  package mutating func beginFile() -> Changes {
    lastRow = 0
    var changes = Changes()
    for (key, span) in open.sorted(by: { $0.value.row < $1.value.row }) {
      lastRow += 1
      open[key]?.row = lastRow
      changes.opened.append((lastRow, span.observed, latest.map { span.age(at: $0) }))
    }
    return changes
  }

  /// The rows of the open intervals, ascending.
  package var openRows: [Int64] { open.values.map(\.row).sorted() }
}

extension Spans.Changes {
  fileprivate mutating func close(_ span: Spans.Open, _ ending: Spans.Ending) {
    closed.append(Closed(span: span, ending: ending))
  }
}

extension Observed {
  /// Takes the queues of a later look where they are longer.
  fileprivate mutating func take(queuesOf later: Observed) {
    receiveQueue = max(receiveQueue, later.receiveQueue)
    sendQueue = max(sendQueue, later.sendQueue)
    drops = max(drops, later.drops)
  }
}

/// A list of ascending numbers, as the differences between them, seven bits a byte.
enum RowList {
  static func packed(_ rows: [Int64]) -> [UInt8] {
    var bytes: [UInt8] = []
    var last: Int64 = 0
    for row in rows {
      var step = UInt64(row - last)
      last = row
      while step > 127 {
        bytes.append(UInt8(step & 127) | 128)
        step >>= 7
      }
      bytes.append(UInt8(step))
    }
    return bytes
  }

  /// The numbers; those behind a damaged place are left out.
  static func unpacked(_ bytes: [UInt8]) -> [Int64] {
    var rows: [Int64] = []
    var (step, shift, last): (UInt64, UInt64, Int64) = (0, 0, 0)
    for byte in bytes {
      guard shift < 56 else { return rows }
      step |= UInt64(byte & 127) << shift
      shift += 7
      if byte & 128 != 0 { continue }
      last &+= Int64(step)
      rows.append(last)
      (step, shift) = (0, 0)
    }
    return rows
  }
}
