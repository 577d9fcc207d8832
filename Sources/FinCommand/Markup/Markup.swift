import FinDoctor

/// HTML or SVG under construction.
///
/// A `String` enters it only through ``text(_:)`` and the values of attributes, which escape it. Names of elements and
/// attributes are those of ``Element`` and ``Attribute``: there is no element that loads something, no attribute with a
/// handler, a style or an address. Everything that is not escaped is a literal of this program (``Constant``).
struct Markup {
  private(set) var buffer = TextBuffer()

  /// The elements that a page may have. A script and a style have functions of their own.
  enum Element: String {
    case a, article, aside, b, button, caption, circle, code, dd, details, div, dl, dt, footer, g, h1, h2, h3, header,
      html, input, label, li, line, main, marker, nav, ol, option, p, path, pre, rect, section, select, span, summary,
      svg, table, tbody, td, text, th, thead, time, title, tr, ul, head, body, defs

    /// Whether it has neither content nor an end tag.
    fileprivate var isVoid: Bool { self == .input }
  }

  /// An attribute and its value.
  struct Attribute {
    /// The names of attributes that a caller may give any value.
    enum Name: String {
      case id, title, role, x, y, x1, x2, y1, y2, cx, cy, r, rx, d, width, height, viewBox, scope, type, lang,
        placeholder, datetime, hidden, tabindex, open, fill, refX, refY, markerWidth, markerHeight, orient, value
      case style = "class"
      case label = "aria-label"
      case isHidden = "aria-hidden"
      case live = "aria-live"
      case anchor = "text-anchor"
      case tip = "marker-end"
      case key = "data-key"
      case state = "data-state"
      case owner = "for"
    }

    /// The name and the escaped value.
    fileprivate let source: String

    init(_ name: Name, _ value: String) { source = "\(name.rawValue)=\"\(Markup.escaped(value))\"" }

    private init(reference: String) { source = "href=\"#\(Markup.escaped(reference))\"" }

    /// A link to an element of the same page.
    static func link(to identifier: String) -> Attribute { Attribute(reference: identifier) }

    static func style(_ names: String) -> Attribute { Attribute(.style, names) }
    static func id(_ name: String) -> Attribute { Attribute(.id, name) }
    static func label(_ words: String) -> Attribute { Attribute(.label, words) }
    static func number(_ name: Name, _ value: Double) -> Attribute { Attribute(name, Markup.number(value)) }
    /// A position or a length as a part of the drawing's width, from 0 to 1.
    static func share(_ name: Name, _ value: Double) -> Attribute {
      Attribute(name, Markup.number(min(max(value.isFinite ? value : 0, 0), 1) * 100) + "%")
    }
  }

  /// Text that enters a page as it is: it is made of literals and numbers alone.
  struct Constant: ExpressibleByStringLiteral {
    let text: String

    init(stringLiteral text: StaticString) { self.text = "\(text)" }
    private init(_ text: String) { self.text = text }

    /// A colour: `#0a7f3c`.
    init(colour: UInt32) {
      let digits = String(colour & 0xff_ffff, radix: 16)
      text = "#" + String(repeating: "0", count: 6 - digits.count) + digits
    }

    static func + (left: Constant, right: Constant) -> Constant { Constant(left.text + right.text) }
  }

  /// The bytes of a whole document.
  var document: [UInt8] { Array("<!DOCTYPE html>\n".utf8) + buffer.bytes + [UInt8(ascii: "\n")] }

  /// Writes an element with the content that `body` writes.
  mutating func add(_ element: Element, _ attributes: [Attribute] = [], _ body: (inout Markup) -> Void = { _ in }) {
    let name = element.rawValue
    buffer.write("<" + name)
    for attribute in attributes {
      buffer.write(ascii: " ")
      buffer.write(attribute.source)
    }
    buffer.write(ascii: ">")
    if element.isVoid { return }
    body(&self)
    buffer.write("</" + name + ">")
  }

  /// Writes an element that has only text.
  mutating func add(_ element: Element, _ attributes: [Attribute] = [], _ text: String) {
    add(element, attributes) { $0.text(text) }
  }

  /// Writes text.
  mutating func text(_ text: String) { buffer.write(Self.escaped(text)) }

  /// Writes a line end, between elements where it has no meaning.
  mutating func newLine() { buffer.write(ascii: "\n") }

  /// Writes the head of a document: no request may leave it, and no script may run in it but this one.
  mutating func head(title: String, style: Constant, script: Constant) {
    let rules =
      "default-src 'none'; style-src '\(SHA256.source(of: style.text))'; script-src '\(SHA256.source(of: script.text))'"
      + "; base-uri 'none'; form-action 'none'"
    add(.head) { head in
      head.buffer.write(literal: "<meta charset=\"utf-8\">")
      head.buffer.write("<meta http-equiv=\"Content-Security-Policy\" content=\"\(rules)\">")
      head.buffer.write(literal: "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
      head.buffer.write(literal: "<meta name=\"color-scheme\" content=\"light dark\">")
      head.add(.title, [], title)
      head.buffer.write("<style>" + style.text + "</style>")
    }
  }

  /// Writes the script of the document.
  mutating func script(_ script: Constant) { buffer.write("<script>" + script.text + "</script>") }

  /// The line before the data of a page.
  static let dataBegins = "<script type=\"application/json\" id=\"data\">\n"
  /// The line after the data of a page.
  static let dataEnds = "\n</script>"

  /// Writes JSON, in which no character can end the element.
  mutating func data(_ json: [UInt8]) {
    buffer.write(Self.dataBegins)
    for byte in json {
      switch byte {
      // These three are in strings only: the structure of JSON does not have them.
      case UInt8(ascii: "<"): buffer.write(literal: "\\u003c")
      case UInt8(ascii: ">"): buffer.write(literal: "\\u003e")
      case UInt8(ascii: "&"): buffer.write(literal: "\\u0026")
      default: buffer.bytes.append(byte)
      }
    }
    buffer.write(Self.dataEnds)
  }

  /// Text for the content of an element or for an attribute in quotes.
  static func escaped(_ text: String) -> String {
    func isPlain(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"), UInt8(ascii: "\""), UInt8(ascii: "'"): false
      default: byte >= 0x20 && byte != 0x7f
      }
    }
    if text.utf8.allSatisfy(isPlain) { return text }
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "&": escaped += "&amp;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      case "\n", "\t": escaped.unicodeScalars.append(scalar)
      case _ where scalar.value < 0x20 || scalar.value == 0x7f: escaped.unicodeScalars.append("\u{FFFD}")
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// A number with at most two digits after the point.
  static func number(_ value: Double) -> String {
    let hundredths = Int((min(max(value.isFinite ? value : 0, -1e9), 1e9) * 100).rounded())
    let sign = hundredths < 0 ? "-" : ""
    let (whole, rest) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
    if rest == 0 { return "\(sign)\(whole)" }
    return "\(sign)\(whole)." + (rest < 10 ? "0\(rest)" : rest % 10 == 0 ? "\(rest / 10)" : "\(rest)")
  }
}
