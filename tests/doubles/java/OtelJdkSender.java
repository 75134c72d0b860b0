import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import java.util.concurrent.TimeUnit;

/** Makes 20 spans with OpenTelemetry's SDK and sends them by OTLP/HTTP with the client of the JDK. */
public class OtelJdkSender {
    public static void main(String[] arguments) {
        OtlpHttpSpanExporter exporter =
            OtlpHttpSpanExporter.builder().setEndpoint(arguments[0]).build();
        SdkTracerProvider provider = SdkTracerProvider.builder()
            .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
            .build();
        Tracer tracer = provider.get("test");
        for (int number = 0; number < 20; number++) {
            tracer.spanBuilder("job-" + number).startSpan().end();
        }
        provider.shutdown().join(30, TimeUnit.SECONDS);
    }
}
