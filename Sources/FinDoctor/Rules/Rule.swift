/// A rule of the diagnosis: one kind of finding, with its texts, its remedies, its detection and its effects.
///
/// Each rule has a file of its own, named after its code. The help, the remedies, the chains, the mutes and the
/// diagnosis follow from ``all``.
struct Rule: Sendable {
  /// The rules, in the order of the catalogue.
  static let all: [Rule] = [
    .closeWaitKnown, .closeWaitUnseen, .detached, .descriptorLimit, .inherited, .noDescriptor, .closedUnread,
    .finWait2Held, .orphans, .peerZeroWindow, .unread, .unacknowledged, .idleWithoutKeepalive, .keepaliveFailing,
    .connectStuck, .selfConnected, .portsExhausted, .bindBeforeConnect, .timeWaitChurn, .bindBlocked, .acceptOverflow,
    .acceptStalled, .synBacklog, .acceptWithoutDescriptors, .neverAccepts, .oldGeneration, .memory, .unix,
    .datagramDrops,
  ]

  static let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })

  let id: FindingID
  /// The name in words: `close-wait-known`.
  let name: String
  /// The finding as a sentence, for the help.
  let summary: String
  /// Whether its sockets or descriptors were not given back, so that a leak gate looks for it.
  let isLeak: Bool
  /// Whether it is about a limit of the machine or of a whole program, so that no single socket shows it.
  let concernsMachine: Bool
  /// Whether it takes so long with very many connections that it runs on a thread of its own.
  let runsAside: Bool
  let fix: Remedies
  /// The things that the rule can say: each claim with its facts, and the other situations that give the same rows.
  let claims: [Claim]
  /// The findings that this one may explain. No finding leads back to itself.
  let leadsTo: [Effect]
  /// The intentions that a program may publish, so that the state is no finding; nil where none is allowed.
  let intent: AllowedIntent?
  /// Indices of the sockets whose program's epoll sets and waiting threads the rule reads.
  let watches: @Sendable (CensusIndex) -> [Int]
  /// The findings in a census, in no particular order.
  let find: @Sendable (CensusIndex) -> [Finding]

  /// The facts that the rule reads.
  var reads: Set<Finding.Fact> { Set(claims.flatMap(\.facts)) }

  init(
    _ id: FindingID, name: String, summary: String, isLeak: Bool = false, concernsMachine: Bool = false,
    runsAside: Bool = false, fix: Remedies, claims: [Claim], leadsTo: [Effect] = [], intent: AllowedIntent? = nil,
    watches: @escaping @Sendable (CensusIndex) -> [Int] = { _ in [] },
    find: @escaping @Sendable (CensusIndex) -> [Finding]
  ) {
    self.id = id
    self.name = name
    self.summary = summary
    self.isLeak = isLeak
    self.concernsMachine = concernsMachine
    self.runsAside = runsAside
    self.fix = fix
    self.claims = claims
    self.leadsTo = leadsTo
    self.intent = intent
    self.watches = watches
    self.find = find
  }
}

/// The remedies of a rule, as texts.
struct Remedies: Sendable {
  /// The remedy in terms of system calls.
  let inC: String
  /// The remedy in terms of a language, where it differs from C's.
  let languages: [Language: String]
  /// The remedy for users of a program of this name, where a setting of it is the remedy.
  let programs: [String: String]
  /// The way Fin avoids the problem.
  let withFin: String
  /// The remedy for a program that already uses Fin; nil where it does not differ.
  let inFin: String?

  init(
    _ inC: String, in languages: [Language: String] = [:], programs: [String: String] = [:], withFin: String,
    inFin: String? = nil
  ) {
    self.inC = inC
    self.languages = languages
    self.programs = programs
    self.withFin = withFin
    self.inFin = inFin
  }
}
