import FinDoctor
import FinTerminal

/// The budgets as JSON; the schema is what `fin help json ports` prints.
enum PortsJSON {
  static func write(_ report: PortsReport) {
    let census = report.census
    var json = JSONWriter()
    json.object { json in
      json.writeHead(census)
      if let earlier = report.looks.earlier {
        let passed = max(census.when.monotonic, earlier.when.monotonic) - earlier.when.monotonic
        json.write("overMilliseconds", number: passed / 1_000_000)
      }
      json.array("namespaces") { json in
        for namespace in census.namespaces { write(namespace, to: &json) }
      }
      json.write("matching", number: UInt64(report.matching))
      json.array("budgets") { json in
        for budget in report.budgets {
          json.text.write(ascii: "\n")
          write(budget, census, to: &json)
        }
      }
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ namespace: Namespace, to json: inout JSONWriter) {
    json.object { json in
      json.write("inode", number: namespace.inode)
      json.write("name", string: namespace.name)
      json.write("own", flag: namespace.isOwn)
      let limits = namespace.limits
      json.write("firstPort", numberIfKnown: limits.ephemeralPorts?.lowerBound)
      json.write("lastPort", numberIfKnown: limits.ephemeralPorts?.upperBound)
      if let range = limits.ephemeralPorts, let capacity = limits.ephemeralPortCount {
        json.write("reservedPorts", number: UInt64(range.count - capacity))
        json.write("capacity", number: UInt64(capacity))
      }
      json.write("timeWaitReuse", numberIfKnown: limits.timeWaitReuse.map { UInt64(max(0, $0)) })
    }
  }

  private static func write(_ budget: PortBudget, _ census: Census, to json: inout JSONWriter) {
    json.object { json in
      json.write("namespace", number: census.namespaces[Int(budget.route.namespace)].inode)
      if !budget.route.isAnyOther {
        json.string("source") { $0.write(budget.route.source) }
        json.string("destination") { $0.write(budget.route.destination) }
        json.write("port", number: budget.route.port)
      }
      let numbers: [(JSONKey, Int)] = [
        ("capacity", budget.capacity), ("connected", budget.connected), ("timeWait", budget.resting),
        ("timeWaitReusable", budget.reusable), ("bound", budget.bound), ("boundOnSource", budget.boundHere),
        ("boundProbably", budget.boundProbably), ("free", budget.free),
      ]
      for (name, number) in numbers {
        json.write(name, number: UInt64(max(0, number)))
      }
      json.write("percent", number: UInt64((budget.share * 100).rounded()))
      write("users", budget.users, census, to: &json)
      write("boundBy", budget.binders, census, to: &json)
      json.write("closedPerSecond", decimal: budget.closedPerSecond)
      json.write("sustainedPerSecond", decimal: budget.sustainedPerSecond)
      if let pace = budget.pace {
        json.object("pace") { json in
          json.write("openedPerSecondAtLeast", decimal: pace.openedPerSecond)
          if let most = pace.openedPerSecondAtMost { json.write("openedPerSecondAtMost", decimal: most) }
          json.write("growth", signed: pace.growth)
          json.write("exhaustion", since: pace.exhaustion)
        }
      }
      json.array("remedies") { json in
        for id in budget.remedies() {
          let fix = Fix(id, in: .unknown)
          json.object { json in
            json.write("id", string: id.rawValue)
            json.write("name", string: id.name)
            json.write("code", string: fix.code)
            json.write("fin", string: fix.fin)
          }
        }
      }
    }
  }

  private static func write(_ key: JSONKey, _ users: [PortBudget.User], _ census: Census, to json: inout JSONWriter) {
    json.array(key) { json in
      for user in users {
        json.object { json in
          json.write(program: user.pid, in: census)
          json.write("ports", number: UInt64(user.ports))
        }
      }
    }
  }
}
