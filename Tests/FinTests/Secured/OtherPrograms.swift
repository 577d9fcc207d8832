#if TLS
import Glibc
import Peers

@testable import Fin

/// A program in another language that plays one side of secured connections. It reads rows from its input, and plays
/// each: `server 1.3 notify 0` or `client 1.2 fin 4711`. As a server it prints its port first. It sends 17 bytes, waits
/// for a line, ends its stream as the row says, and prints what it hears: `heard` and its own words for it.
struct OtherProgram {
  let child: Child
  private let folder: TemporaryFolder

  /// Go, compiled once for all rows.
  static func go(_ certificates: Certificates, _ identity: TLSIdentity) throws -> OtherProgram {
    let folder = try TemporaryFolder()
    // The cache of the compiler is its own, also where the test's user has no home.
    try make(folder, "peer.go", goSource, "HOME=${HOME:-/tmp} GO111MODULE=off go build -o peer peer.go")
    return try start(folder, folder.path + "/peer", [], certificates, identity)
  }

  /// Java, compiled once for all rows.
  static func java(_ certificates: Certificates, _ identity: TLSIdentity) throws -> OtherProgram {
    let folder = try TemporaryFolder()
    try make(folder, "Peer.java", javaSource, "javac Peer.java")
    let words = ["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", folder.path, "Peer"]
    return try start(folder, Programs.find("java") ?? "", words, certificates, identity)
  }

  /// Node, whose source needs no compiler.
  static func node(_ certificates: Certificates, _ identity: TLSIdentity) throws -> OtherProgram {
    let folder = try TemporaryFolder()
    try make(folder, "peer.js", nodeSource, "true")
    return try start(folder, Programs.find("node") ?? "", [folder.path + "/peer.js"], certificates, identity)
  }

  private static func make(_ folder: TemporaryFolder, _ name: String, _ source: String, _ command: String) throws {
    let script = "cd \"$1\"; cat > \(name); { \(command); } > errors 2>&1 || { cat errors; exit 1; }"
    try withChild(Programs.find("sh") ?? "/bin/sh", ["-ec", script, "sh", folder.path]) { child throws in
      try child.write(source)
      child.closeInput()
      let output = try child.readToEnd(within: .seconds(120))
      let exit = try child.wait()
      guard exit == .exited(0) else { throw RigError("\(name): \(exit): \(output)") }
    }
  }

  private static func start(
    _ folder: TemporaryFolder, _ path: String, _ words: [String], _ certificates: Certificates, _ identity: TLSIdentity
  ) throws -> OtherProgram {
    let child = try Child.spawn(path, words + [certificates.root, identity.certificates, identity.key])
    return OtherProgram(child: child, folder: folder)
  }

  private static let goSource = """
    package main

    import (
      "bufio"
      "crypto/tls"
      "crypto/x509"
      "fmt"
      "io"
      "net"
      "os"
      "strings"
    )

    func must(err error) {
      if err != nil {
        fmt.Println("error", err)
        os.Exit(1)
      }
    }

    func main() {
      pem, err := os.ReadFile(os.Args[1])
      must(err)
      pool := x509.NewCertPool()
      pool.AppendCertsFromPEM(pem)
      pair, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
      must(err)
      input := bufio.NewReader(os.Stdin)
      line := func() []string {
        text, err := input.ReadString('\\n')
        if err != nil {
          os.Exit(0)
        }
        return strings.Fields(text)
      }
      for {
        row := line()
        version := uint16(tls.VersionTLS13)
        if row[1] == "1.2" {
          version = tls.VersionTLS12
        }
        config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost",
          MinVersion: version, MaxVersion: version}
        var wire net.Conn
        var secured *tls.Conn
        if row[0] == "server" {
          listener, err := net.Listen("tcp", "127.0.0.1:0")
          must(err)
          fmt.Println(listener.Addr().(*net.TCPAddr).Port)
          wire, err = listener.Accept()
          must(err)
          listener.Close()
          secured = tls.Server(wire, config)
        } else {
          wire, err = net.Dial("tcp", "127.0.0.1:"+row[3])
          must(err)
          secured = tls.Client(wire, config)
        }
        _, err = secured.Write([]byte("DELETE FROM users"))
        must(err)
        line()
        switch row[2] {
        case "notify":
          must(secured.CloseWrite())
          must(wire.(*net.TCPConn).CloseWrite())
        case "fin":
          must(wire.(*net.TCPConn).CloseWrite())
        case "rst":
          must(wire.(*net.TCPConn).SetLinger(0))
          wire.Close()
          fmt.Println("gone")
          continue
        }
        _, err = io.Copy(io.Discard, secured)
        fmt.Println("heard", err)
        wire.Close()
      }
    }
    """

  private static let javaSource = """
    import java.io.*;
    import java.net.*;
    import java.nio.file.*;
    import java.security.*;
    import java.security.cert.*;
    import java.security.spec.*;
    import java.util.*;
    import javax.net.ssl.*;

    public class Peer {
      static byte[] pem(String path) throws Exception {
        String text = Files.readString(Path.of(path)).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\\\s", "");
        return Base64.getDecoder().decode(text);
      }

      public static void main(String[] words) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        java.security.cert.Certificate root =
            factory.generateCertificate(new ByteArrayInputStream(pem(words[0])));
        java.security.cert.Certificate own =
            factory.generateCertificate(new ByteArrayInputStream(pem(words[1])));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(pem(words[2])));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("root", root);
        store.setKeyEntry("own", key, new char[0], new java.security.cert.Certificate[] {own});
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, new char[0]);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        while (true) {
          String line = input.readLine();
          if (line == null) return;
          String[] row = line.split(" ");
          Socket wire;
          SSLSocket secured;
          if (row[0].equals("server")) {
            ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
            System.out.println(listener.getLocalPort());
            wire = listener.accept();
            listener.close();
            secured = (SSLSocket) context.getSocketFactory().createSocket(wire, null, wire.getPort(), false);
            secured.setUseClientMode(false);
          } else {
            wire = new Socket(InetAddress.getLoopbackAddress(), Integer.parseInt(row[3]));
            secured = (SSLSocket) context.getSocketFactory().createSocket(wire, "localhost", wire.getPort(), false);
          }
          secured.setEnabledProtocols(new String[] {"TLSv" + row[1]});
          secured.getOutputStream().write("DELETE FROM users".getBytes());
          secured.getOutputStream().flush();
          input.readLine();
          if (row[2].equals("rst")) {
            wire.setSoLinger(true, 0);
            wire.close();
            System.out.println("gone");
            continue;
          }
          if (row[2].equals("notify")) secured.shutdownOutput();
          wire.shutdownOutput();
          try {
            while (secured.getInputStream().read() >= 0) {}
            System.out.println("heard end");
          } catch (IOException error) {
            System.out.println("heard " + error);
          }
          wire.close();
        }
      }
    }
    """

  // `destroy` of its secured socket sends FIN alone, and so does `resetAndDestroy`: it plays no reset.
  private static let nodeSource = """
    const fs = require('fs'), tls = require('tls');
    const [root, chain, key] = process.argv.slice(2);
    let waiting = null;
    const lines = [];
    require('readline').createInterface({ input: process.stdin }).on('line', text => {
      if (waiting) { const go = waiting; waiting = null; go(text); } else lines.push(text);
    }).on('close', () => process.exit(0));
    const line = () => lines.length ? Promise.resolve(lines.shift()) : new Promise(go => { waiting = go; });
    const play = ([role, version, end, port]) => new Promise(async over => {
      const v = 'TLSv' + version;
      const options = { minVersion: v, maxVersion: v, allowHalfOpen: true, host: '127.0.0.1', port: +port,
        servername: 'localhost', ca: fs.readFileSync(root), cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
      const talk = async secured => {
        let word = 'nothing';
        secured.on('data', () => {});
        secured.on('end', () => { word = 'end'; });
        secured.on('error', error => { word = error.code; });
        secured.on('close', () => { console.log('heard ' + word); over(); });
        secured.write('DELETE FROM users');
        await line();
        if (end == 'notify') secured.end();
        else secured.destroy();
      };
      if (role == 'server') {
        const server = tls.createServer(options, secured => { server.close(); talk(secured); });
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
      } else {
        const secured = tls.connect(options, () => talk(secured));
      }
    });
    (async () => { while (true) await play((await line()).split(' ')); })();
    """
}
#endif
