// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "fin",
  products: [
    .library(name: "Fin", targets: ["Fin"]),
    .library(name: "FinDoctor", targets: ["FinDoctor"]),
    // The target is not called `fin`: `Fin.build` and `fin.build` are one folder where file names ignore case.
    .executable(name: "fin", targets: ["FinCommand"]),
  ],
  // All off by default; what a trait that is off would need is not even fetched.
  traits: [
    .trait(name: "Logging", description: "Leak reports and server reports to swift-log"),
    .trait(name: "Metrics", description: "The ledger's counts to swift-metrics"),
    .trait(name: "ServiceLifecycle", description: "A listener as a service of swift-service-lifecycle"),
    .trait(name: "TLS", description: "Secured connections, with the system's OpenSSL 3 (libssl-dev)"),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
  ],
  targets: [
    .target(name: "CFin"),
    // SQLite and zlib for `fin record`, looked for when it runs: a build needs neither.
    .target(name: "CSQLite"),
    // Without `pkgConfig` and `providers`: with them every dependent is warned where OpenSSL's headers are missing,
    // whether it uses the trait or not.
    .systemLibrary(name: "COpenSSL"),
    // One copy of what the library and the doctor both need, so that neither has to import the other.
    .target(name: "FinBase", dependencies: ["CFin"], swiftSettings: settings),
    .target(
      name: "Fin",
      dependencies: [
        "CFin", "FinBase", .target(name: "COpenSSL", condition: .when(traits: ["TLS"])),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["Logging"])),
        .product(name: "Metrics", package: "swift-metrics", condition: .when(traits: ["Metrics"])),
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: .when(traits: ["ServiceLifecycle"])),
      ],
      swiftSettings: settings + [
        // The seam for scripted system calls: compiled in where tests run, absent from release builds.
        .define("FIN_SEAM", .when(configuration: .debug))
      ]),
    // The kernel's view of every program's sockets. It stands beside Fin and not upon it.
    .target(name: "FinDoctor", dependencies: ["CFin", "CSQLite", "FinBase"], swiftSettings: settings),
    .executableTarget(
      name: "FinCommand",
      dependencies: [
        "Fin", "FinBase", "FinDoctor", "FinLab", "FinTerminal", "CFin",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    // The experiments of `fin lab`.
    .target(
      name: "FinLab",
      dependencies: [
        "Fin", "FinBase", "CFin", "FinTerminal", .target(name: "COpenSSL", condition: .when(traits: ["TLS"])),
      ],
      swiftSettings: settings),
    // Output for the command and the laboratory: colour, widths, wrapping.
    .target(name: "FinTerminal", swiftSettings: settings),

    // What tests stand on: a hand-made TCP peer, a lossy link, namespaces, threads.
    .target(name: "CPeers", path: "Tests/CPeers"),
    .target(name: "Peers", dependencies: ["CPeers"], path: "Tests/Peers", swiftSettings: settings),
    .target(name: "TestTraits", dependencies: ["Peers"], path: "Tests/TestTraits", swiftSettings: settings),
    // A program with a counted allocator: no test's own process should have one.
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    .executableTarget(
      name: "Allocations", dependencies: ["Fin", "Peers", "CAllocations"], path: "Tests/Allocations",
      swiftSettings: settings),
    // Random sequences of verbs beside a model of what the kernel must show after each.
    .executableTarget(
      name: "Differential",
      dependencies: ["Fin", "Peers", "CPeers", .product(name: "SystemPackage", package: "swift-system")],
      path: "Tests/Differential", swiftSettings: settings),
    // A program with leaks, for the doctor to find the lines of.
    .executableTarget(name: "Leaking", dependencies: ["Fin"], path: "Tests/Leaking", swiftSettings: settings),
    // Servers that hand their listeners over to each other, and successors that die.
    .executableTarget(
      name: "Succession", dependencies: ["Fin", "Peers"], path: "Tests/Succession", swiftSettings: settings),
    // A program that writes made-up days of history, for their size and the time of answers.
    .executableTarget(
      name: "HistoryDay", dependencies: ["FinDoctor", "FinBase"], path: "Tests/HistoryDay", swiftSettings: settings),
    // A program that keeps the kernel waiting for it, for `fin` to run beside.
    .executableTarget(name: "Hostile", path: "Tests/Hostile"),
    .testTarget(
      name: "FinTests",
      dependencies: [
        "Fin", "FinBase", "CFin", "Peers", "TestTraits", .target(name: "COpenSSL", condition: .when(traits: ["TLS"])),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["Logging"])),
        .product(name: "Metrics", package: "swift-metrics", condition: .when(traits: ["Metrics"])),
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: .when(traits: ["ServiceLifecycle"])),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "FinDoctorTests", dependencies: ["FinDoctor", "FinBase", "CFin", "Peers", "TestTraits"],
      exclude: ["Corpus", "Scenes", "Zoo/Programs", "Zoo/README.md"],
      swiftSettings: settings),
    .testTarget(
      name: "FinCommandTests",
      dependencies: [
        "FinCommand", "Fin", "FinBase", "FinDoctor", "FinLab", "FinTerminal", "Hostile", "Peers", "TestTraits",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
