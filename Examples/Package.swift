// swift-tools-version: 6.2
import PackageDescription

let fin = Target.Dependency.product(name: "Fin", package: "fin")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")

let package = Package(
  name: "examples",
  products: [.library(name: "HTTPExample", targets: ["HTTPExample"])],
  traits: [.trait(name: "TLS", description: "Secured connections for http, by Fin's trait of this name")],
  dependencies: [
    .package(name: "fin", path: "..", traits: [.trait(name: "TLS", condition: .when(traits: ["TLS"]))]),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
  ],
  targets: [
    .executableTarget(name: "echo", dependencies: [fin]),
    .target(name: "HTTPExample", dependencies: [fin, httpTypes]),
    .executableTarget(name: "http", dependencies: [fin, "HTTPExample", httpTypes]),
    .executableTarget(name: "line", dependencies: [fin]),
    .executableTarget(name: "sendfile", dependencies: [fin]),
    .executableTarget(name: "talk", dependencies: [fin]),
    .testTarget(name: "HTTPExampleTests", dependencies: [fin, "HTTPExample", "http", httpTypes]),
  ],
  swiftLanguageModes: [.v6]
)
