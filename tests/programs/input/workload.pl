# Strings of many sizes in hashes and arrays, and children that change their copies.
use strict;
use warnings;

my $scale = shift // 1;
my (%words, @lines);
for my $i (1 .. 60_000 * $scale) {
    my $word = "w" . ($i * 7919 % 5003);
    $words{$word} .= chr(97 + $i % 26);
    push @lines, "$word=" . ("x" x ($i % 70)) if $i % 3 == 0;
}
print scalar(keys %words), " ", scalar(@lines), "\n";
my $joined = join ",", sort { length $a <=> length $b || $a cmp $b } @lines;
print length $joined, " ", unpack("%32C*", $joined), "\n";
my $count = () = $joined =~ /w(\d+)=x{10,20},/g;
(my $copy = $joined) =~ s/w(\d)(\d+)/$2$1/g;
print "$count ", unpack("%32C*", $copy), "\n";
for my $child (1 .. 20) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $words{$_} = "$child" x 50 for keys %words;
        exit(scalar(keys %words) % 200);
    }
    waitpid $pid, 0;
    print $? >> 8, " ";
}
print "\n";
delete @words{ grep { /5$/ } keys %words };
print join(" ", map { "$_:" . length $words{$_} } (sort keys %words)[0 .. 9]), "\n";
