import FinDoctor
import FinTerminal

/// The rights as JSON; the schema is what `fin help json rights` prints.
enum RightsJSON {
  static func write(_ sight: Sight, _ census: Census) {
    var json = JSONWriter()
    json.object { json in
      json.writeHead(census)
      json.write("user", number: UInt64(sight.user))
      json.array("capabilities") { json in
        for capability in Capability.allCases where sight.capabilities.includes(capability) {
          json.write(string: capability.name)
        }
      }
      json.write("firstUserNamespace", flag: sight.isInFirstUserNamespace)
      json.array("views") { json in
        for view in sight.views {
          json.object { json in
            json.write("kind", string: view.kind.rawValue)
            json.write("whole", flag: view.isWhole)
            if let seen = view.seen { json.write("seen", number: UInt64(seen)) }
            if let hidden = view.hidden { json.write("unseen", number: UInt64(hidden)) }
            json.array("needs") { json in for capability in view.needs { json.write(string: capability.name) } }
            json.array("missing") { json in for capability in view.missing { json.write(string: capability.name) } }
            if let cause = view.otherCause { json.write("otherCause", string: cause) }
          }
        }
      }
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }
}

extension RightsCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    user number effective user
    capabilities [text] effective ones among those that fin can use
    firstUserNamespace flag the user namespace is the machine's first
    views [object]
      kind text processes, owners, namespaces, kill, pass
      whole flag nothing of it is hidden, or it is allowed
      seen number?
      unseen number? absent if it cannot be known
      needs [text] capabilities
      missing [text] those of them that are not effective
      otherCause text? what hides it although no capability is missing
    """)
}
