/// The samples of the port budgets: of the fullest destinations, and of what bind took.
struct PortSamples {
  /// The part of the ports from which on a destination is listed. Others come and go with each connection.
  static let least = 0.01

  private(set) var samples: [MetricSample] = []
  /// The number of destinations that are left out.
  private(set) var folded = 0

  init(_ index: CensusIndex, _ places: [String], _ limits: MetricLimits) {
    struct Route: Hashable {
      var labels: [String]
    }
    var seen: Set<Route> = []
    for budget in index.portBudgets() {
      guard budget.capacity > 0, budget.share >= Self.least else { continue }
      let route = budget.route
      let labels =
        [places[Int(route.namespace)]]
        + (route.isAnyOther
          ? ["any", "any"] : [route.source.description, route.destination.with(port: route.port)])
      // Two namespaces may have one name. The fuller budget comes first, and is the one to know.
      guard seen.count < limits.destinations, seen.insert(Route(labels: labels)).inserted else {
        folded += 1
        continue
      }
      samples.append(MetricSample(.portCapacity, labels, .count(budget.capacity)))
      samples.append(MetricSample(.portFree, labels, .count(budget.free)))
      for (how, count) in [("connected", budget.connected), ("time_wait", budget.resting), ("bound", budget.bound)] {
        samples.append(MetricSample(.portUsed, labels + [how], .count(count)))
      }
    }
  }
}
