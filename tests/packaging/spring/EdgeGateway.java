package hopline;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** A gateway with nothing of its own: routes and telemetry come from its properties. */
@SpringBootApplication
public class EdgeGateway {
    public static void main(String[] arguments) {
        SpringApplication.run(EdgeGateway.class, arguments);
    }
}
