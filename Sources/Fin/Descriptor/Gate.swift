internal import Synchronization

/// Who is inside a socket, and is it closing: one atomic word, after Go's `fdMutex`.
///
/// The word decides who may enter and who leaves last. Beside it, under a lock and only on the slow paths, stand those
/// who wait: threads parked in `poll(2)`, tasks at a loop, writers in a queue, whoever closes. `Proof/gate.pml` checks these
/// steps against every interleaving; the names in capitals are its.
///
/// - A reader excludes other readers (the second is refused as busy), a writer queues behind the first, so that each send
///   arrives whole; any number may pass otherwise.
/// - Once closing has begun nobody enters, whoever waits is woken, and the last one out releases.
struct Gate: ~Copyable, Sendable {
  /// Why somebody was not let in.
  enum Refusal: Error { case closed, busy, tooMany, timedOut }

  /// As what somebody is inside.
  enum Entry: Sendable {
    case reading, writing, passing

    fileprivate var bit: UInt64 {
      switch self {
      case .reading: Word.reader
      case .writing: Word.writer
      case .passing: 0
      }
    }
  }

  private enum Word {
    static let closing: UInt64 = 1 << 0
    static let reader: UInt64 = 1 << 1
    static let writer: UInt64 = 1 << 2
    /// Set exactly while `Waiting.queue` is not empty; changed only under its lock.
    static let queued: UInt64 = 1 << 3
    static let reference: UInt64 = 1 << 4
    static let most: UInt64 = (1 << 20) - 1
    static func references(_ word: UInt64) -> UInt64 { word >> 4 }
  }

  struct Closer {
    let waker: any Wakeable
    /// References that its own thread has besides the closer's: numbers that it has lent, further up the stack.
    let loans: Int
  }

  struct Waiting {
    var parked = Few<any Wakeable>()
    /// Made when a writer first has to queue: most sockets have one writer at a time.
    var queue: WriterQueue?
    /// The closer that waits to be alone: one, or none. An array, which takes a word where there is none.
    var closer: [Closer] = []
    var laterClosers: [any Wakeable] = []
    var isReleased = false

    fileprivate var isQueueEmpty: Bool { queue?.isEmpty ?? true }
  }

  private let word = Atomic<UInt64>(0)
  private let waiting = Mutex(Waiting())

  init() {}

  var isClosing: Bool { word.load(ordering: .acquiring) & Word.closing != 0 }

  /// Who is inside and who waits, at one moment.
  struct Snapshot: Hashable, Sendable {
    var isClosing = false
    var hasReader = false
    var hasWriter = false
    var queuedWriters = 0
    var parked = 0
    var references = 0
  }

  var snapshot: Snapshot {
    waiting.withLock { waiting in
      let word = word.load(ordering: .acquiring)
      assert(waiting.isQueueEmpty == (word & Word.queued == 0), "the word and the queue disagree")
      return Snapshot(
        isClosing: word & Word.closing != 0, hasReader: word & Word.reader != 0, hasWriter: word & Word.writer != 0,
        queuedWriters: waiting.queue?.count ?? 0, parked: waiting.parked.count, references: Int(Word.references(word)))
    }
  }

  #if FIN_SEAM
  /// How many queued writers all that the queue has done has looked at.
  var queueSteps: Int { waiting.withLock { $0.queue?.steps ?? 0 } }
  #endif

  // MARK: In

  /// ENTER_READ: one reader at a time; the second is told so at once.
  func enterReading() throws(Refusal) { try enter(Word.reader) }

  /// PASS: for whatever may happen beside others: options, accept, datagrams.
  func enterPassing() throws(Refusal) { try enter(0) }

  private func enter(_ bit: UInt64) throws(Refusal) {
    Fork.check()
    var old = word.load(ordering: .relaxed)
    while true {
      if old & Word.closing != 0 { throw .closed }
      if old & bit != 0 { throw .busy }
      if Word.references(old) == Word.most { throw .tooMany }
      let (done, seen) = word.weakCompareExchange(
        expected: old, desired: (old | bit) + Word.reference, ordering: .acquiringAndReleasing)
      if done { return }
      old = seen
    }
  }

  /// ENTER_WRITE.
  ///
  /// - Returns: `false` when somebody is writing already, and one has to ``queue(waking:)``.
  func enterWriting() throws(Refusal) -> Bool {
    do { try enter(Word.writer) } catch {
      if error == .busy { return false }
      throw error
    }
    return true
  }

  /// ENTER_WRITE, and QUEUE when somebody is writing already.
  func enterWriting(_ patience: inout Patience) throws(Refusal) {
    if try enterWriting() { return }
    let parker = Parker()
    guard let turn = try queue(waking: parker) else { return }
    _ = parker.park(until: patience.deadline)
    try leaveQueue(turn)
  }

  /// WRITER_DEADLINE: whoever has waited long enough, or was woken, looks what has become of the turn. It may have been granted
  /// while the deadline passed; then we are inside.
  func leaveQueue(_ turn: WriterQueue.Turn) throws(Refusal) {
    let state = waiting.withLock { waiting in
      if turn.state == .queued {
        waiting.queue?.remove(turn)
        if waiting.isQueueEmpty { word.bitwiseAnd(~Word.queued, ordering: .acquiringAndReleasing) }
      }
      return turn.state
    }
    switch state {
    case .granted: return
    case .refused: throw .closed
    case .queued: throw .timedOut
    }
  }

  /// QUEUE.
  ///
  /// - Parameter waker: woken when the turn is granted or refused.
  /// - Returns: the place in the queue, or `nil` when the writer's bit came free meanwhile and is ours.
  /// - Throws: `.tooMany` beyond ``WriterQueue/most``.
  func queue(waking waker: any Wakeable) throws(Refusal) -> WriterQueue.Turn? {
    let result: Result<WriterQueue.Turn?, Refusal> = waiting.withLock { waiting in
      var old = word.load(ordering: .relaxed)
      while true {
        if old & Word.closing != 0 { return .failure(.closed) }
        if Word.references(old) == Word.most { return .failure(.tooMany) }
        let isFree = old & Word.writer == 0
        if !isFree, waiting.queue?.isFull ?? false { return .failure(.tooMany) }
        let desired = isFree ? (old | Word.writer) + Word.reference : old | Word.queued
        let (done, seen) = word.weakCompareExchange(
          expected: old, desired: desired, ordering: .acquiringAndReleasing)
        if done {
          if isFree { return .success(nil) }
          let queue = waiting.queue ?? WriterQueue()
          waiting.queue = queue
          return .success(queue.append(waker))
        }
        old = seen
      }
    }
    return try result.get()
  }

  // MARK: Out

  /// LEAVE.
  ///
  /// - Returns: whether the caller was the last one out of a closing gate, and so has to release.
  func leave(_ entry: Entry) -> Bool {
    var old = word.load(ordering: .relaxed)
    while true {
      if entry == .writing, old & Word.queued != 0 {
        if handOff() { return false }
        old = word.load(ordering: .relaxed)
        continue
      }
      let new = (old & ~entry.bit) - Word.reference
      let (done, seen) = word.weakCompareExchange(
        expected: old, desired: new, ordering: .acquiringAndReleasing)
      if done {
        guard new & Word.closing != 0 else { return false }
        if Word.references(new) == 0 { return true }
        // WAKE_CLOSER: taken out of the lock, as all who are woken here: an executor may run a task before `wake` returns.
        let closer: (any Wakeable)? = waiting.withLock { waiting in
          guard let closer = waiting.closer.first else { return nil }
          let isAlone = Word.references(word.load(ordering: .acquiring)) == 1 + UInt64(closer.loans)
          return isAlone ? closer.waker : nil
        }
        closer?.wake()
        return false
      }
      old = seen
    }
  }

  /// HANDOFF: the writer's bit and its reference pass to the first in the queue.
  private func handOff() -> Bool {
    let turn: WriterQueue.Turn? = waiting.withLock { waiting in
      let turn = waiting.queue?.grantFirst()
      if turn != nil, waiting.isQueueEmpty { word.bitwiseAnd(~Word.queued, ordering: .acquiringAndReleasing) }
      return turn
    }
    guard let turn else { return false }
    // WAKE_GRANTED.
    WriterQueue.wake(turn)
    return true
  }

  // MARK: Waiting inside

  /// PARK: from now on closing wakes `waker`. Test and entry into the list are one step.
  ///
  /// - Returns: `false` when closing has begun: do not wait.
  func park(_ waker: any Wakeable) -> Bool {
    waiting.withLock { waiting in
      if isClosing { return false }
      waiting.parked.append(waker)
      return true
    }
  }

  /// UNPARK: nobody will wake `waker` any more.
  func unpark(_ waker: any Wakeable) {
    waiting.withLock { _ = $0.parked.take { $0 === waker } }
  }

  /// Wakes everyone who is parked, for another reason than closing: they look again at what they wait for.
  func wakeParked() {
    let parked = waiting.withLock { waiting in
      waiting.parked.forEach { if $0.isLent { $0.wake() } }
      return waiting.parked
    }
    parked.forEach { if !$0.isLent { $0.wake() } }
  }

  // MARK: Closing

  /// BEGIN_CLOSE: refuses the newcomers, wakes everyone, and holds a reference for the closer.
  ///
  /// - Returns: `false` when somebody else is closing already.
  func beginClosing() -> Bool {
    Fork.check()
    let woken: (parked: Few<any Wakeable>, refused: WriterQueue.Turn?)? = waiting.withLock { waiting in
      var old = word.load(ordering: .relaxed)
      while true {
        if old & Word.closing != 0 { return nil }
        let (done, seen) = word.weakCompareExchange(
          expected: old, desired: ((old | Word.closing) & ~Word.queued) + Word.reference,
          ordering: .acquiringAndReleasing)
        if done { break }
        old = seen
      }
      // REFUSE_QUEUE.
      let refused = waiting.queue?.refuseAll()
      waiting.queue = nil
      // WAKE_PARKED: lent wakers under the lock, so that none is woken after it was given back.
      let parked = waiting.parked
      parked.forEach { if $0.isLent { $0.wake() } }
      waiting.parked.removeAll()
      return (parked, refused)
    }
    guard let woken else { return false }
    // WAKE_OTHERS.
    woken.parked.forEach { if !$0.isLent { $0.wake() } }
    WriterQueue.wakeAll(from: woken.refused)
    return true
  }

  /// QUIESCENT: sleeps until the closer is alone. Whoever is inside leaves promptly: nothing in there blocks.
  ///
  /// - Parameter loans: how often the closer's own thread is inside, further up the stack.
  func awaitQuiescence(besides loans: Int = 0) { _ = quiescence(besides: loans, waking: Parker.init)?.park() }
  func awaitQuiescence() async { await quiescence(besides: 0, waking: Bell.init)?.wait() }

  /// SECOND_CLOSE: sleeps until the first closer has released.
  func awaitRelease() { _ = release(waking: Parker.init)?.park() }
  func awaitRelease() async { await release(waking: Bell.init)?.wait() }

  /// - Parameter waker: made and kept, when the closer is not alone, to be woken when it is.
  /// - Returns: what to wait for; `nil` when there is nothing to wait for.
  private func quiescence<W: Wakeable>(besides loans: Int, waking waker: () -> W) -> W? {
    waiting.withLock { waiting in
      if Word.references(word.load(ordering: .acquiring)) == 1 + UInt64(loans) { return nil }
      let waker = waker()
      waiting.closer = [Closer(waker: waker, loans: loans)]
      return waker
    }
  }

  /// RELEASED: the last one out has released, the closer or a loan of its thread; whoever closed later may return.
  func finishClosing() {
    let wakers = waiting.withLock { waiting in
      waiting.isReleased = true
      let wakers = waiting.laterClosers
      waiting.laterClosers = []
      return wakers
    }
    for waker in wakers { waker.wake() }
  }

  private func release<W: Wakeable>(waking waker: () -> W) -> W? {
    waiting.withLock { waiting in
      if waiting.isReleased { return nil }
      let waker = waker()
      waiting.laterClosers.append(waker)
      return waker
    }
  }
}
