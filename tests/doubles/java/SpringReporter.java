import io.micrometer.tracing.Tracer;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;

/** Makes 20 spans in a Spring Boot application, whose own reporter sends them. */
@SpringBootConfiguration
@EnableAutoConfiguration
public class SpringReporter {
    public static void main(String[] arguments) throws InterruptedException {
        try (ConfigurableApplicationContext context =
                SpringApplication.run(SpringReporter.class, arguments)) {
            Tracer tracer = context.getBean(Tracer.class);
            for (int number = 0; number < 20; number++) {
                tracer.nextSpan().name("job-" + number).start().end();
            }
            Thread.sleep(3000); // the reporter sends once a second, and not when it is closed
        }
    }
}
