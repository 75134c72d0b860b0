import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

/** Posts files to doors with the client of the JDK: TYPE URL FILE, and so on; prints each answer. */
public class HttpClientSender {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int at = 0; at < arguments.length; at += 3) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[at + 1]))
                .header("content-type", arguments[at]);
            if (arguments[at + 2].isEmpty()) {
                request.GET();
            } else {
                byte[] body = Files.readAllBytes(Path.of(arguments[at + 2]));
                request.POST(HttpRequest.BodyPublishers.ofByteArray(body));
            }
            HttpResponse<String> answer =
                client.send(request.build(), HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
