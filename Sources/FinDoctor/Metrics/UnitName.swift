/// The label `unit`: the service that a cgroup belongs to, or the container.
///
/// It is the same on each start of the service, as far as the names allow: a pod's generated suffix is left out, and a
/// container without a known name has the first twelve digits of its number.
package enum UnitName {
  /// The label of a program or socket that belongs to no unit.
  package static let none = "-"

  /// The name for the path of a cgroup: `nginx.service`, `shop/api/web` for a container of Kubernetes whose name is
  /// known, `docker-0123456789ab` for any other container.
  /// - Parameters:
  ///   - path: The path, such as `/system.slice/nginx.service`; nil if it is unknown.
  ///   - containers: The names of containers, by their numbers.
  package static func name(ofCgroup path: String?, _ containers: ContainerNames = ContainerNames()) -> String {
    guard let path else { return none }
    let parts = path.split(separator: "/")
    // A container may run a service manager of its own, so the container decides.
    for (place, part) in parts.enumerated().reversed() {
      guard let digits = ContainerNames.number(in: part) else { continue }
      let prefix = part[..<digits.startIndex].drop { $0 == "-" }
      let runtime = prefix.hasSuffix("-") ? prefix.dropLast() : prefix
      // `crio-conmon-…` is the process that watches the container, and not in it.
      if !runtime.hasSuffix("conmon"), let name = containers.names[String(digits)] { return name.unit }
      let kind = runtime.isEmpty ? manager(parts[..<place]) : String(runtime)
      return "\(kind)-\(digits.prefix(12))"
    }
    return parts.last { $0.hasSuffix(".service") || $0.hasSuffix(".scope") }.map(String.init) ?? none
  }

  /// The program that made a container whose folder has only its number: cgroupfs names the folder above.
  private static func manager(_ above: ArraySlice<Substring>) -> String {
    if above.contains(where: { $0.hasPrefix("kubepods") }) { return "kubepods" }
    return above.last.map(String.init) ?? "container"
  }
}

/// The names of the containers of Kubernetes on this machine, by their numbers.
///
/// The kubelet makes a link for each container in `/var/log/containers`, whose name has all of them:
/// `POD_NAMESPACE_CONTAINER-NUMBER.log`. No other source has them without asking the API.
package struct ContainerNames: Hashable, Sendable {
  /// The names of one container.
  package struct Name: Hashable, Sendable {
    package var namespace: String
    package var pod: String
    package var container: String

    /// `NAMESPACE/WORKLOAD/CONTAINER`, which stays the same when the pod is replaced.
    package var unit: String { "\(namespace)/\(ContainerNames.workload(ofPod: pod))/\(container)" }
  }

  /// The names, by the container's 64 digits.
  package var names: [String: Name] = [:]

  /// No names.
  package init() {}

  /// Parses the names of files in `/var/log/containers`; others are ignored.
  package init(files: some Sequence<String>) {
    for file in files {
      guard file.hasSuffix(".log"), let dash = file.lastIndex(of: "-") else { continue }
      let number = file[file.index(after: dash)...].dropLast(4)
      let parts = file[..<dash].split(separator: "_", omittingEmptySubsequences: false)
      guard Self.number(in: number) == number, parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { continue }
      names[String(number)] = Name(
        namespace: visible(String(parts[1])), pod: visible(String(parts[0])), container: visible(String(parts[2])))
    }
  }

  /// The 64 hexadecimal digits in the name of a cgroup folder, the form in which every runtime numbers its containers.
  static func number(in part: Substring) -> Substring? {
    var start = part.startIndex
    var count = 0
    for index in part.indices {
      guard part[index].isHexDigit, !part[index].isUppercase else {
        start = part.index(after: index)
        count = 0
        continue
      }
      count += 1
      if count == 64 { return part[start...index] }
    }
    return nil
  }

  /// The letters of the suffixes that Kubernetes generates: without vowels, so that no words arise.
  private static let suffixLetters = Set("bcdfghjklmnpqrstvwxz2456789")

  /// The name of a pod without its generated suffixes: `api` for `api-6d4cf56db6-x7z2k` of a Deployment, for
  /// `api-x7z2k` of a DaemonSet or Job, and for `api-0` of a StatefulSet.
  static func workload(ofPod pod: String) -> Substring {
    func dropping(_ name: Substring, _ isSuffix: (Substring) -> Bool) -> Substring? {
      guard let dash = name.lastIndex(of: "-"), dash > name.startIndex, isSuffix(name[name.index(after: dash)...])
      else { return nil }
      return name[..<dash]
    }
    func isGenerated(_ text: Substring, _ lengths: ClosedRange<Int>) -> Bool {
      lengths.contains(text.count) && text.allSatisfy { suffixLetters.contains($0) }
    }
    let all = pod[...]
    if let short = dropping(all, { !$0.isEmpty && $0.allSatisfy(\.isNumber) }) { return short }
    guard let short = dropping(all, { isGenerated($0, 5...5) }) else { return all }
    return dropping(short, { isGenerated($0, 6...10) && $0.contains(where: \.isNumber) }) ?? short
  }
}
