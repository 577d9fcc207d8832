/// A first-in, first-out queue of jobs for one thread: a ring buffer that grows and never shrinks.
struct JobQueue {
  private var ring: [UnownedJob?] = Array(repeating: nil, count: 64)
  private var head = 0
  private var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func append(_ job: UnownedJob) {
    if count == ring.count { grow() }
    ring[(head + count) & (ring.count - 1)] = job
    count += 1
  }

  mutating func popFirst() -> UnownedJob? {
    if count == 0 { return nil }
    let job = ring[head]
    head = (head + 1) & (ring.count - 1)
    count -= 1
    return job
  }

  private mutating func grow() {
    ring = Array(ring[head...] + ring[..<head]) + Array(repeating: nil, count: ring.count)
    head = 0
  }
}
