/// The faults of a link. The same seed and the same packets give the same decisions.
public struct LinkFaults: Sendable {
  public var seed: UInt64
  /// The share of packets lost, 0 to 1.
  public var loss: Double
  /// The share of packets that arrive twice, 0 to 1.
  public var duplication: Double
  /// The share of packets held back so that later ones overtake them, 0 to 1.
  public var reordering: Double
  /// The additional delay of the packets that are held back.
  public var heldBack: Duration
  /// The delay of every packet.
  public var delay: Duration
  /// The maximum additional delay, drawn for each packet, so jitter reorders too.
  public var jitter: Duration
  /// Additional packets to lose, chosen by their contents. A TCP packet is passed as a segment, any other as nil.
  public var drops: @Sendable (LossyLink.Side, Segment?) -> Bool

  public init(
    seed: UInt64 = 1, loss: Double = 0, duplication: Double = 0, reordering: Double = 0,
    heldBack: Duration = .milliseconds(5), delay: Duration = .zero, jitter: Duration = .zero,
    drops: @escaping @Sendable (_ from: LossyLink.Side, Segment?) -> Bool = { _, _ in false }
  ) {
    self.seed = seed
    self.loss = loss
    self.duplication = duplication
    self.reordering = reordering
    self.heldBack = heldBack
    self.delay = delay
    self.jitter = jitter
    self.drops = drops
  }

  /// The delays after which the copies of a packet arrive; empty if the packet is lost.
  func arrivals(of segment: Segment?, from side: LossyLink.Side, _ random: inout SeededRandom) -> [Duration] {
    // Every packet draws the same number of random values, so that one setting does not shift the decisions of another.
    let (lost, twice, late) = (random.share() < loss, random.share() < duplication, random.share() < reordering)
    let times = [random.share(), random.share()].map { delay + jitter * $0 + (late ? heldBack : .zero) }
    if lost || drops(side, segment) { return [] }
    return twice ? times : [times[0]]
  }
}

/// SplitMix64: small, fast, and the same on every machine.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 up to 1.
  public mutating func share() -> Double { Double(next() >> 11) / Double(1 << 53) }
}
