// swift-tools-version: 6.2
import PackageDescription

// Separate from the other servers: BoringSSL, which SwiftNIO SSL brings, takes minutes to build.
let package = Package(
  name: "secured",
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
  ],
  targets: [
    .executableTarget(
      name: "nio-secured",
      dependencies: [
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ],
      path: ".", sources: ["Server.swift"])
  ],
  swiftLanguageModes: [.v6]
)
