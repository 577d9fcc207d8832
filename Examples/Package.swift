// swift-tools-version: 6.2
import PackageDescription

let fin = Target.Dependency.product(name: "Fin", package: "fin")

let package = Package(
  name: "examples",
  dependencies: [.package(name: "fin", path: "..")],
  targets: [
    .executableTarget(name: "echo", dependencies: [fin]),
    .executableTarget(name: "line", dependencies: [fin]),
    .executableTarget(name: "sendfile", dependencies: [fin]),
    .executableTarget(name: "talk", dependencies: [fin]),
  ],
  swiftLanguageModes: [.v6]
)
