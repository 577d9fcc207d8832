/// A first-in, first-out queue of jobs for one thread: a ring buffer that grows and never shrinks.
@safe
struct JobQueue: ~Copyable {
  // Without the checks of an array: the queue is on the path of every wait.
  private var ring: UnsafeMutablePointer<UnownedJob>
  /// A power of two.
  private var room = 64
  private var head = 0
  private var count = 0

  init() { unsafe ring = .allocate(capacity: room) }

  // A job is an address, with nothing to deinitialize.
  deinit { unsafe ring.deallocate() }

  var isEmpty: Bool { count == 0 }

  mutating func append(_ job: UnownedJob) {
    if count == room { grow() }
    unsafe (ring + ((head + count) & (room - 1))).initialize(to: job)
    count += 1
  }

  mutating func popFirst() -> UnownedJob? {
    if count == 0 { return nil }
    let job = unsafe ring[head]
    head = (head + 1) & (room - 1)
    count -= 1
    return job
  }

  // [outlined slow path]
  @inline(never)
  private mutating func grow() {
    let grown = UnsafeMutablePointer<UnownedJob>.allocate(capacity: 2 * room)
    unsafe grown.initialize(from: ring + head, count: room - head)
    unsafe (grown + (room - head)).initialize(from: ring, count: head)
    unsafe ring.deallocate()
    unsafe ring = grown
    room *= 2
    head = 0
  }
}
