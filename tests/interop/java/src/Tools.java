// Runs Kafka's command line tools one after another in one JVM, since starting one costs more than what most tools do.
// Standard input: one call a line, class and arguments parted by tabs. Standard output: what the tool printed, both
// streams, then a line "=== exit N".
import java.io.*;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    /** The tool has called exit. Some catch even this, tell of it and call exit again: the first code counts, and
     *  nothing is heard after it. */
    static class Left extends Error {
        Left() {
            super(null, null, false, false);
        }
    }

    static final PrintStream OUT = System.out, NOWHERE = new PrintStream(OutputStream.nullOutputStream());
    static Integer code;

    static void speak(PrintStream to) {
        System.setOut(to);
        System.setErr(to);
    }

    static void leave(int with) {
        if (code == null) code = with;
        speak(NOWHERE);
        throw new Left();
    }

    static int call(String[] words) throws ReflectiveOperationException {
        var main = Class.forName(words[0]).getMethod("main", String[].class);
        code = null;
        speak(OUT);
        try {
            main.invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Left)) {
                e.getCause().printStackTrace();
                return 1;
            }
        }
        return code == null ? 0 : code;
    }

    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((with, message) -> leave(with));
        Exit.setHaltProcedure((with, message) -> leave(with));
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int left = call(line.split("\t"));
            OUT.println("\n=== exit " + left);
            OUT.flush();
        }
    }
}
