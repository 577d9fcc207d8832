// swift-tools-version: 6.2
import PackageDescription

// Separate from the benchmarks' own package, so that the dependencies of these servers cannot affect the build of Fin.
let package = Package(
  name: "peers",
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.0"),
  ],
  targets: [
    .executableTarget(
      name: "nio",
      dependencies: [
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
      ],
      path: "NIO"),
    .executableTarget(
      name: "nio-async",
      dependencies: [
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
      ],
      path: "NIOAsync"),
    .executableTarget(
      name: "flyingsocks", dependencies: [.product(name: "FlyingSocks", package: "FlyingFox")], path: "FlyingSocks"),
  ],
  swiftLanguageModes: [.v6]
)
