// swift-tools-version: 6.2
import PackageDescription

// Needs nothing but Fin: the servers that others' libraries are measured with are in Peers, each built on its own.
let package = Package(
  name: "benchmarks",
  dependencies: [.package(name: "fin", path: "..")],
  targets: [
    .executableTarget(name: "fin-server", dependencies: [.product(name: "Fin", package: "fin")], path: "Server"),
    // Sockets that wait, and what that costs. The filter is seccomp's, which has no Swift interface.
    .target(name: "Filter", path: "Filter"),
    .executableTarget(
      name: "fin-waiting", dependencies: ["Filter", .product(name: "Fin", package: "fin")], path: "Waiting"),
  ],
  swiftLanguageModes: [.v6]
)
