/// A capability of Linux that changes what a census sees, or what the command may do (capabilities(7)).
package enum Capability: Int, CaseIterable, Hashable, Sendable {
  case readSearch = 2
  case netAdmin = 12
  case ptrace = 19
  case sysAdmin = 21
  case perfmon = 38
  case bpf = 39

  /// The name in the manual page of capabilities.
  package var name: String {
    switch self {
    case .readSearch: "CAP_DAC_READ_SEARCH"
    case .netAdmin: "CAP_NET_ADMIN"
    case .ptrace: "CAP_SYS_PTRACE"
    case .sysAdmin: "CAP_SYS_ADMIN"
    case .perfmon: "CAP_PERFMON"
    case .bpf: "CAP_BPF"
    }
  }
}

/// The effective capabilities of a process, as `/proc/PID/status` has them.
package struct Capabilities: Hashable, Sendable {
  /// A bit for each capability, by its number.
  private let bits: UInt64

  /// Makes a set from the bits of the line `CapEff`.
  package init(bits: UInt64) { self.bits = bits }

  /// The effective capabilities of this process; none if they cannot be read.
  package static var ofThisProcess: Capabilities { Capabilities(bits: ThisProcess.capabilityBits) }

  /// Whether the capability, or another one that includes it, is effective.
  package func includes(_ capability: Capability) -> Bool {
    if bits & 1 << UInt64(capability.rawValue) != 0 { return true }
    switch capability {
    // CAP_DAC_OVERRIDE opens every folder too.
    case .readSearch: return bits & 1 << 1 != 0
    case .perfmon, .bpf: return includes(.sysAdmin)
    case .netAdmin, .ptrace, .sysAdmin: return false
    }
  }
}
