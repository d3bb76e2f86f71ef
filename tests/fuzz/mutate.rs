//! Changes bytes as people, editors and attackers would: with words of the format, by lines, by nesting, by repetition.

/// Inputs do not grow beyond this: some targets have a limit at 256 KiB, and it has to be crossed.
const INPUT_BYTES_MAX: usize = 300 * 1024;

/// xorshift64*: small, seeded, the same everywhere.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`; 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() % end as u64).unwrap() }
    }
}

/// What numbers go wrong at.
const NUMBERS: [&str; 12] =
    ["0", "-1", "1", "99", "100", "101", "255", "256", "65536", "9223372036854775808", "1e9999", "0x10"];
/// What closes what opens.
const NESTS: [(&str, &str); 6] = [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}"), ("- ", ""), ("\"", "\""), ("(", ")")];

pub struct Mutator {
    rng: Rng,
    words: &'static [&'static str],
}

impl Mutator {
    pub fn new(rng: Rng, words: &'static [&'static str]) -> Self {
        Self { rng, words }
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.rng.below(chances) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.below(from.len())]
    }

    /// One to eight changes.
    pub fn mutate(&mut self, base: &[u8], pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = base.to_vec();
        for _ in 0..=self.rng.below(8) {
            self.change(&mut input, pool);
            input.truncate(INPUT_BYTES_MAX);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.rng.below(input.len() + 1);
        match self.rng.below(14) {
            0 if at < input.len() => input[at] ^= 1 << self.rng.below(8),
            1 if at < input.len() => input[at] = *self.pick(b"\0\t\n\r \"#&'*,-:>?@[]{}|!%`\\/\x7f\x80\xc3\xff0a"),
            2 => drop(input.splice(at..self.end(at, input.len(), 64), [])),
            3 => input.truncate(at),
            4 | 5 => {
                let word = self.pick(self.words).as_bytes();
                drop(input.splice(at..at, word.iter().copied()));
            }
            6 => {
                let other = self.pick(pool);
                let from = self.rng.below(other.len() + 1);
                let part = other[from..self.end(from, other.len(), 512)].to_vec();
                drop(input.splice(at..at, part));
            }
            7 => {
                let part = input[at..self.end(at, input.len(), 256)].to_vec();
                let times = if self.one_in(50) { 2_000 } else { self.rng.below(8) };
                drop(input.splice(at..at, part.repeat(times)));
            }
            8 => self.number(input),
            9 => {
                let (open, close) = *self.pick(&NESTS);
                let depth = if self.one_in(10) { 5_000 } else { 1 + self.rng.below(40) };
                drop(input.splice(at..at, (open.repeat(depth) + &close.repeat(depth)).into_bytes()));
            }
            _ => self.lines(input),
        }
    }

    /// Deletes, doubles, moves, swaps or indents lines.
    fn lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let (one, other) = (self.rng.below(lines.len()), self.rng.below(lines.len()));
        match self.rng.below(6) {
            0 => drop(lines.remove(one)),
            1 => {
                let line = lines[one].clone();
                lines.insert(other, line);
            }
            2 => lines.swap(one, other),
            3 => drop(lines[one].splice(0..0, *b"  ")),
            4 => lines[one] = lines[one].trim_ascii_start().to_vec(),
            _ => lines.insert(one, self.pick(self.words).as_bytes().to_vec()),
        }
        *input = lines.join(&b'\n');
    }

    /// Puts another number in place of one.
    fn number(&mut self, input: &mut Vec<u8>) {
        let starts: Vec<usize> = (0..input.len()).filter(|at| input[*at].is_ascii_digit()).collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.pick(&starts);
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        drop(input.splice(start..start + digits, self.pick(&NUMBERS).bytes()));
    }

    fn end(&mut self, from: usize, len: usize, most: usize) -> usize {
        from + self.rng.below((len - from).min(most) + 1)
    }
}
