// swift-tools-version: 6.2
import PackageDescription

// A package of its own, because these dependencies take minutes to build.
let fin = Target.Dependency.product(name: "Fin", package: "fin")
let nio = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")

let package = Package(
  name: "ecosystem",
  dependencies: [
    .package(name: "fin", path: "../.."),
    .package(name: "examples", path: ".."),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
  ],
  targets: [
    .target(name: "FinToNIO", dependencies: [fin, nio, nioCore]),
    .executableTarget(
      name: "hummingbird-server",
      dependencies: [
        fin, "FinToNIO", nio, nioCore, .product(name: "NIOExtras", package: "swift-nio-extras"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    .testTarget(
      name: "EcosystemTests",
      dependencies: [
        fin, "FinToNIO", nio, nioCore, "hummingbird-server", .product(name: "HTTPExample", package: "examples"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
