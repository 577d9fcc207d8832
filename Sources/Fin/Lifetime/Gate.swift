internal import Synchronization

/// Counts the operations in flight on a descriptor and refuses new ones once it is closing, after Go's `fdMutex`.
///
/// One atomic word decides which operations may enter and which one leaves last. The waiters are kept beside it under a
/// lock, which only the slow paths take: threads parked in `poll(2)`, tasks at a loop, queued writers, and closers.
/// `Proof/gate.pml` checks these steps in every interleaving; the names in capitals are the model's.
///
/// - A reader excludes other readers: a second one is refused as busy. A second writer queues behind the first, so that
///   each send arrives in one piece. Any number of other operations may be inside at once.
/// - Once closing has begun, new operations are refused, waiting ones are woken, and the last operation to leave
///   releases the descriptor.
struct Gate: ~Copyable, Sendable {
  /// Why an operation may not enter.
  enum EntryError: Error { case closed, busy, tooMany, timedOut }

  /// The access that an operation holds while it is inside.
  enum Entry: Sendable {
    case reading, writing, using

    fileprivate var bit: UInt64 {
      switch self {
      case .reading: Word.reader
      case .writing: Word.writer
      case .using: 0
      }
    }
  }

  private enum Word {
    static let closing: UInt64 = 1 << 0
    static let reader: UInt64 = 1 << 1
    static let writer: UInt64 = 1 << 2
    /// Set exactly while `Waiting.queue` is not empty. Changed only under the lock of `waiting`.
    static let queued: UInt64 = 1 << 3
    static let reference: UInt64 = 1 << 4
    static let most: UInt64 = (1 << 20) - 1
    static func references(_ word: UInt64) -> UInt64 { word >> 4 }
  }

  struct Closer {
    let waker: any Wakeable
    /// References that the closer's thread holds besides the closer's own: one for each loan of the descriptor further
    /// up its stack.
    let loans: Int
  }

  struct Waiting {
    var parked = TinyArray<any Wakeable>()
    /// Created when a writer first has to queue: most sockets have one writer at a time.
    var queue: WriterQueue?
    /// The closer that waits until no other reference is left: at most one. An empty array takes only a word.
    var closer: [Closer] = []
    var laterClosers: [any Wakeable] = []
    var isReleased = false

    fileprivate var isQueueEmpty: Bool { queue?.isEmpty ?? true }
  }

  // [packed word]
  private let word = Atomic<UInt64>(0)
  private let waiting = Mutex(Waiting())

  init() {}

  var isClosing: Bool { word.load(ordering: .acquiring) & Word.closing != 0 }

  /// The operations inside and the waiters, counted at one moment.
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
  /// The number of queued writers that the queue's operations have visited so far.
  var queueSteps: Int { waiting.withLock { $0.queue?.steps ?? 0 } }
  #endif

  // MARK: Entering

  /// ENTER_READ: admits one reader at a time. A second one is refused as busy at once.
  func enterReading() throws(EntryError) { try enter(Word.reader) }

  /// PASS: admits operations that may run beside others: options, accept, datagrams.
  func enterPassing() throws(EntryError) { try enter(0) }

  private func enter(_ bit: UInt64) throws(EntryError) {
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

  /// ENTER_WRITE: takes the writer bit if it is free.
  ///
  /// - Returns: `false` when another writer has the bit; the caller then has to ``queue(waking:)``.
  func enterWriting() throws(EntryError) -> Bool {
    do { try enter(Word.writer) } catch {
      if error == .busy { return false }
      throw error
    }
    return true
  }

  /// ENTER_WRITE, then QUEUE when another writer has the bit: blocks until the turn is granted or refused, or the
  /// deadline has passed.
  func enterWriting(_ timeout: inout LazyDeadline) throws(EntryError) {
    if try enterWriting() { return }
    let parker = Parker()
    guard let turn = try queue(waking: parker) else { return }
    _ = parker.park(until: timeout.deadline)
    try leaveQueue(turn)
  }

  /// WRITER_DEADLINE: settles the turn of a writer that was woken or whose deadline has passed. The turn may have been
  /// granted while the deadline passed; the writer is then inside.
  func leaveQueue(_ turn: WriterQueue.Turn) throws(EntryError) {
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

  /// QUEUE: puts the writer at the end of the queue, unless the writer bit has come free meanwhile.
  ///
  /// - Parameter waker: woken when the turn is granted or refused.
  /// - Returns: the turn in the queue, or `nil` when the bit had come free and the writer is inside.
  /// - Throws: `.closed` when closing has begun; `.tooMany` beyond ``WriterQueue/most``, or when the count of
  ///   references is at its limit.
  func queue(waking waker: any Wakeable) throws(EntryError) -> WriterQueue.Turn? {
    let result: Result<WriterQueue.Turn?, EntryError> = waiting.withLock { waiting in
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

  // MARK: Leaving

  /// LEAVE: gives back the access and its reference.
  ///
  /// - Returns: whether the caller was the last to leave a closing gate, and so has to release the descriptor.
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
        // WAKE_CLOSER: woken after the lock is released, like every waker here that is not lent, because an executor
        // may run a task before `wake` returns.
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

  /// HANDOFF: passes the writer bit and its reference to the first writer in the queue.
  ///
  /// - Returns: `false` when the queue is empty.
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

  /// PARK: adds `waker` to those that closing wakes. The test for closing and the entry into the list are one step.
  ///
  /// - Returns: `false` when closing has begun; the caller must not wait.
  func park(_ waker: any Wakeable) -> Bool {
    waiting.withLock { waiting in
      if isClosing { return false }
      waiting.parked.append(waker)
      return true
    }
  }

  /// UNPARK: removes `waker`. If it is lent, the gate does not wake it from here on.
  func unpark(_ waker: any Wakeable) {
    waiting.withLock { _ = $0.parked.take { $0 === waker } }
  }

  /// Wakes all parked waiters for another reason than closing. They check again what they wait for.
  func wakeParked() {
    let parked = waiting.withLock { waiting in
      waiting.parked.forEach { if $0.isLent { $0.wake() } }
      return waiting.parked
    }
    parked.forEach { if !$0.isLent { $0.wake() } }
  }

  // MARK: Closing

  /// BEGIN_CLOSE: refuses new operations, wakes the waiting ones, and takes a reference for the closer.
  ///
  /// - Returns: `false` when another close has begun already.
  func beginClosing() -> Bool {
    Fork.check()
    let woken: (parked: TinyArray<any Wakeable>, refused: WriterQueue.Turn?)? = waiting.withLock { waiting in
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
      // WAKE_PARKED: lent wakers are woken under the lock, so that none is woken after it was given back.
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

  /// QUIESCENT: sleeps until the only references left are the closer's and its thread's loans. The sleep is short,
  /// because closing has woken every operation that waits inside, and no operation blocks inside otherwise.
  ///
  /// - Parameter loans: the number of references that the closer's own thread holds further up the stack.
  func awaitQuiescence(besides loans: Int = 0) { _ = quiescence(besides: loans, waking: Parker.init)?.park() }
  func awaitQuiescence() async { await quiescence(besides: 0, waking: TaskParker.init)?.wait() }

  /// SECOND_CLOSE: sleeps until the descriptor has been released.
  func awaitRelease() { _ = release(waking: Parker.init)?.park() }
  func awaitRelease() async { await release(waking: TaskParker.init)?.wait() }

  /// - Parameter waker: makes the waker. Called only when other references are left; WAKE_CLOSER then wakes the result.
  /// - Returns: the waker to wait on; `nil` when the closer is alone already.
  private func quiescence<W: Wakeable>(besides loans: Int, waking waker: () -> W) -> W? {
    waiting.withLock { waiting in
      if Word.references(word.load(ordering: .acquiring)) == 1 + UInt64(loans) { return nil }
      let waker = waker()
      waiting.closer = [Closer(waker: waker, loans: loans)]
      return waker
    }
  }

  /// RELEASED: wakes the later closers, which may return. Called after the last operation to leave, the closer or a
  /// loan of its thread, has released the descriptor.
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
