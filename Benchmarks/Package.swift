// swift-tools-version: 6.2
import PackageDescription

// Depends only on Fin. The servers of other libraries are in Peers, each built on its own.
let package = Package(
  name: "benchmarks",
  traits: [.trait(name: "TLS", description: "Secured connections for fin-server, by Fin's trait of this name")],
  dependencies: [
    .package(name: "fin", path: "..", traits: [.trait(name: "TLS", condition: .when(traits: ["TLS"]))])
  ],
  targets: [
    .executableTarget(name: "fin-server", dependencies: [.product(name: "Fin", package: "fin")], path: "Server"),
    // Measures the cost of waiting sockets. The filter is for seccomp(2), which has no Swift interface.
    .target(name: "Filter", path: "Filter"),
    .executableTarget(
      name: "fin-waiting", dependencies: ["Filter", .product(name: "Fin", package: "fin")], path: "Waiting"),
  ],
  swiftLanguageModes: [.v6]
)
