import FinDoctor
import FinTerminal

/// The rights as text.
struct RightsText {
  let terminal: Terminal

  func report(_ sight: Sight) -> String {
    var lines = heading(sight) + [""]
    for view in sight.views { lines += self.lines(view) }
    let hidden = sight.views.filter { $0.kind.isSight && !$0.isWhole }
    lines.append("")
    if hidden.isEmpty {
      lines.append(terminal.ink(.fin, "Every process and every network of this machine is seen."))
    } else {
      lines += Terminal.wrap(advice(hidden), to: terminal.width)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func heading(_ sight: Sight) -> [String] {
    let effective = Capability.allCases.filter { sight.capabilities.includes($0) }.map(\.name)
    let list = effective.isEmpty ? "none of the capabilities that fin can use" : effective.joined(separator: ", ")
    let place = sight.isInFirstUserNamespace ? "" : ", in a user namespace of its own"
    return Terminal.wrap("User \(sight.user)\(place), with \(list).", to: terminal.width)
  }

  private func lines(_ view: Sight.View) -> [String] {
    let label = Terminal.pad(Self.label(view.kind), to: 11)
    let state = terminal.ink(view.isWhole ? .fin : view.kind.isSight ? .bad : .quiet, Self.state(view))
    var lines = ["  " + label + state]
    func add(_ text: String) {
      lines += Terminal.wrap(text, to: terminal.width - 13).map { String(repeating: " ", count: 13) + $0 }
    }
    if !view.isWhole, !view.missing.isEmpty { add("missing: " + view.missing.map(\.name).joined(separator: ", ")) }
    if let cause = view.otherCause { add(cause) }
    return lines
  }

  private static func label(_ kind: Sight.Kind) -> String {
    switch kind {
    case .processes: "processes"
    case .owners: "owners"
    case .namespaces: "networks"
    case .kill: "fin kill"
    case .pass: "one pass"
    }
  }

  private static func state(_ view: Sight.View) -> String {
    switch view.kind {
    case .processes: counts(view, "read", "not read")
    case .owners: counts(view, "known", "unknown")
    case .namespaces: counts(view, "seen", "not entered")
    case .kill: view.isWhole ? "allowed" : "not allowed"
    case .pass: view.isWhole ? "allowed" : "not allowed: slower with many descriptors, with the same result"
    }
  }

  private static func counts(_ view: Sight.View, _ seen: String, _ hidden: String) -> String {
    let first = "\(Phrase.number(view.seen ?? 0)) \(seen)"
    guard let count = view.hidden else { return "\(first), others are hidden" }
    return view.isWhole ? "\(first), all" : "\(first), \(Phrase.number(count)) \(hidden)"
  }

  private func advice(_ hidden: [Sight.View]) -> String {
    let missing = Set(hidden.flatMap(\.missing))
    guard !missing.isEmpty else { return "No capability would show more." }
    let names = Capability.allCases.filter { missing.contains($0) }.map(\.name)
    return "Run as root, or give fin \(names.joined(separator: ", ")): in a unit of systemd, with AmbientCapabilities= "
      + "and CapabilityBoundingSet=."
  }
}
