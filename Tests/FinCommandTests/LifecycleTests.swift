import Fin
import FoundationEssentials
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin lifecycle: the documentation agrees with the transition table")
struct LifecycleTests {
  /// The package's root folder, from the path of this source file.
  private static let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

  private func text(_ path: String, in root: String = root) throws -> String {
    try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
  }

  @Test(
    "the drawing in the documentation agrees with the table: fin lifecycle --write brings it up to date", .onThreads)
  func drawingIsFresh() throws {
    #expect(try text(LifecycleDocuments.drawing) == LifecycleDrawing().svg())
  }

  @Test(
    "the Mermaid block in the documentation agrees with the table: fin lifecycle --write brings it up to date",
    .onThreads)
  func articleIsFresh() throws {
    let article = try text(LifecycleDocuments.article)
    #expect(LifecycleDocuments.updated(article) == article)
  }

  @Test("every phase has a position of its own in the drawing", .onThreads, arguments: Phase.allCases)
  func placed(phase: Phase) throws {
    let place = try #require(LifecycleLayout.places[phase])
    #expect(LifecycleLayout.places.values.count { $0 == place } == 1)
  }

  @Test("every transition is in exactly one arrow or one sentence", .onThreads)
  func complete() {
    let diagram = LifecycleDiagram()
    #expect(diagram.drawn.count + diagram.told.count == Lifecycle.transitions.count)
    for row in Lifecycle.transitions {
      let arrows = diagram.arrows.filter { arrow in
        guard arrow.to == row.next, arrow.outcome == row.outcome, arrow.events.contains(row.event) else { return false }
        switch arrow.from {
        case .phase(let phase): return phase == row.phase
        case .frame(let frame): return frame.phases.contains(row.phase)
        }
      }
      #expect(arrows.count == (diagram.told.contains(row) ? 0 : 1), "\(row.phase), \(row.event)")
    }
    // No arrow may contain a transition that is not in the table.
    for arrow in diagram.arrows {
      let phases: [Phase] =
        switch arrow.from {
        case .phase(let phase): [phase]
        case .frame(let frame): frame.phases
        }
      for phase in phases {
        for event in arrow.events {
          #expect(Lifecycle.transition(phase, on: event)?.next == arrow.to, "\(arrow.from), \(event)")
        }
      }
    }
  }

  @Test("a transition of only some phases of a frame is not an arrow of the frame", .onThreads)
  func grouping() {
    let table = Lifecycle.transitions.filter { $0.phase != .bothFinished || $0.event != .failed }
    let arrows = LifecycleDiagram(table).arrows.filter { $0.to == .failed }
    #expect(arrows.count == 2)
    #expect(arrows.contains { $0.from == .frame(.peerSends) })
    #expect(arrows.contains { $0.from == .phase(.peerFinished) })
  }

  @Test("every arrow has a route, and every route an arrow", .onThreads)
  func routed() {
    let arrows = LifecycleDiagram().arrows
    #expect(Set(arrows.map(LifecycleLayout.key)) == Set(LifecycleLayout.routes.keys))
  }

  @Test("labels overlap neither each other nor a phase, and lie inside the picture", .onThreads)
  func readable() throws {
    let words = LifecycleDrawing().words
    #expect(words.count > 40)
    for (index, word) in words.enumerated() {
      for other in words[..<index] {
        #expect(!word.box.overlaps(other.box), "\(word.text) at \(word.point) on \(other.text) at \(other.point)")
      }
      for phase in Phase.allCases where phase != .closed {
        let box = try #require(LifecycleLayout.box(of: phase))
        #expect(!word.box.overlaps(box), "\(word.text) at \(word.point) on \(phase)")
      }
      #expect(word.box.left > 0 && word.box.right < LifecycleLayout.width)
    }
  }

  @Test("--write outside the package's root fails and writes nothing", .onThreads)
  func elsewhere() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let error = #expect(throws: LifecycleDocuments.Failure.self) { try LifecycleDocuments.write(in: folder) }
    #expect(error?.description.contains("root folder") == true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  @Test("--write updates a stale article and creates the drawing", .onThreads)
  func write() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let fresh = try text(LifecycleDocuments.article)
    for path in [LifecycleDocuments.article, LifecycleDocuments.drawing] {
      let parent = "\(folder)/" + path.split(separator: "/").dropLast().joined(separator: "/")
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    }
    let stale = fresh.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.contains("fresh --> bound") }.joined(separator: "\n")
    #expect(stale != fresh)
    try stale.write(toFile: "\(folder)/\(LifecycleDocuments.article)", atomically: true, encoding: .utf8)
    #expect(try LifecycleDocuments.write(in: folder) == [LifecycleDocuments.article, LifecycleDocuments.drawing])
    #expect(try text(LifecycleDocuments.article, in: folder) == fresh)
    #expect(try text(LifecycleDocuments.drawing, in: folder) == LifecycleDrawing().svg())
  }

  @Test("the text lists every phase and every transition")
  func table() async throws {
    let fin = try await Fin.run("lifecycle")
    #expect(fin.status == 0)
    for phase in Phase.allCases { #expect(fin.lines.contains(Substring(phase.description))) }
    #expect(fin.lines.count { $0.contains(" → ") && $0.hasPrefix("  ") } == Lifecycle.transitions.count)
  }

  @Test("an unknown format: status 64")
  func unknownFormat() async throws {
    #expect(try await Fin.run("lifecycle", "--format", "png").status == 64)
  }

  private func temporaryFolder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.path + "/fin-lifecycle-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }
}
