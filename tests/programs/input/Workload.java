import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/** Makes the JVM call malloc: direct buffers, zlib, threads, classes compiled at run time. */
public class Workload {
    public static void main(String[] args) throws Exception {
        int scale = Integer.parseInt(args[0]);
        List<Thread> threads = new ArrayList<>();
        long[] sums = new long[8];
        for (int t = 0; t < sums.length; t++) {
            int id = t;
            Thread thread = new Thread(() -> sums[id] = work(id, scale));
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (long sum : sums) {
            System.out.println(sum);
        }
    }

    static long work(int id, int scale) {
        HashMap<Integer, ByteBuffer> buffers = new HashMap<>();
        CRC32 crc = new CRC32();
        byte[] out = new byte[20000];
        for (int i = 0; i < 1000 * scale; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(100 + (i * 37 + id) % 5000);
            buffer.putInt(i);
            buffers.put(i % 100, buffer);
            if (i % 20 == 0) {
                Deflater deflater = new Deflater();
                deflater.setInput(("text " + i).repeat(100).getBytes());
                deflater.finish();
                crc.update(out, 0, deflater.deflate(out));
                deflater.end();
            }
        }
        return crc.getValue() + buffers.size();
    }
}
