import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;

/**
 * Servers and clients of Java: Sockets.java PORT PORT.
 *
 * The first port answers requests; the second one is that of a server which accepts and reads in one thread. For each
 * line of input, "forget PORT COUNT" connects, reads to the end and does not close; "connect PORT" connects.
 */
public class Sockets {
  static final List<Socket> kept = new ArrayList<>();

  public static void main(String[] arguments) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(arguments[0])), 0);
    server.createContext("/", exchange -> {
      exchange.sendResponseHeaders(200, 2);
      exchange.getResponseBody().write("ok".getBytes());
      exchange.close();
    });
    server.setExecutor(Executors.newFixedThreadPool(8));
    ServerSocket listener = new ServerSocket(Integer.parseInt(arguments[1]));
    Executors.newSingleThreadExecutor().submit(() -> work(listener));
    server.start();
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] words = line.split(" ");
      for (int i = words[0].equals("forget") ? Integer.parseInt(words[2]) : 1; i > 0; i--) {
        Socket client = new Socket("127.0.0.1", Integer.parseInt(words[1]));
        kept.add(client);
        while (words[0].equals("forget") && client.getInputStream().read() >= 0) {}
      }
    }
    System.exit(0);
  }

  static Void work(ServerSocket listener) throws Exception {
    while (true) {
      Socket client = listener.accept();
      kept.add(client);
      while (client.getInputStream().read() >= 0) {}
    }
  }
}
