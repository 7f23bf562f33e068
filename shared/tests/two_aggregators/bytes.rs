//! The bytes of every message, the vector of RFC 9180, and that everything fits its limit.

use crate::stage::{Stage, VALUES, report_of, round, task};
use choir_shared::entropy::Entropy;
use choir_shared::ids::{Digest, PublicKey, ReportId, RoundId, SealedSeed, TaskId};
use choir_shared::two_aggregators::messages::{batch_limit, reply_limit, report_limit};
use choir_shared::two_aggregators::{
    BatchAnswer, BatchRefusal, BatchReply, BatchRequest, Report, ReportContext, ReportHeader,
    SealedReport, seed,
};
use choir_shared::wire;
fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

/// Gives out fixed bytes, so that the ephemeral key is the vector's.
struct Fixed(Vec<u8>);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

fn context() -> ReportContext {
    postcard::from_bytes(&[5; 32]).expect("a context")
}

/// RFC 9180, appendix A.2.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// ChaCha20Poly1305, sequence number 0.
#[test]
fn seeds_are_sealed_as_in_the_vector_of_rfc_9180() {
    let ephemeral = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
    let receiver = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    let secret = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    let encapsulated = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    let ciphertext = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";
    let info = unhex("4f6465206f6e2061204772656369616e2055726e");
    let plaintext = unhex("4265617574792069732074727574682c20747275746820626561757479");
    let receiver: PublicKey = receiver.parse().expect("a key");
    let mut entropy = Fixed(unhex(ephemeral));
    let sealed =
        seed::seal(&receiver, &info, b"Count-0", &plaintext, &mut entropy).expect("a seal");
    assert_eq!(sealed, unhex(&format!("{encapsulated}{ciphertext}")));
    let secret: [u8; 32] = unhex(secret).try_into().expect("32 bytes");
    let opened = seed::open(&secret, &info, b"Count-0", &sealed).expect("opens");
    assert_eq!(*opened, plaintext);
    assert!(seed::open(&secret, &info, b"Count-1", &sealed).is_none());
    assert!(seed::open(&secret, b"other", b"Count-0", &sealed).is_none());
    assert!(seed::open(&secret, &info, b"Count-0", &sealed[..31]).is_none());
}

#[test]
fn the_bytes_of_every_message_are_pinned() {
    let (h, s) = ("ab".repeat(32), "cd".repeat(80));
    let id = ReportId([6; 16]);
    let report = Report {
        round: RoundId([2; 16]),
        context: context(),
        id,
        seed: SealedSeed([0xcd; 80]),
        words: &[1, 2, 3],
    };
    let expected = format!(
        "01{}{}{}{s}03010203",
        "02".repeat(16),
        "05".repeat(32),
        "06".repeat(16)
    );
    assert_eq!(wire::encode(&report), unhex(&expected));
    let request = BatchRequest {
        header: vec![7, 8],
        reports: vec![SealedReport {
            id,
            seed: SealedSeed([0xcd; 80]),
            vector: Digest([0xab; 32]),
        }],
    };
    let expected = format!("0102070801{}{s}{h}", "06".repeat(16));
    assert_eq!(wire::encode(&request), unhex(&expected));
    let answer = BatchReply::Answer(BatchAnswer {
        batch: Digest([0xab; 32]),
        left_out: vec![id],
        masks: vec![9],
    });
    let expected = format!("0100{h}01{}0109", "06".repeat(16));
    assert_eq!(wire::encode(&answer), unhex(&expected));
    let i = "06".repeat(16);
    for (refusal, expected) in [
        (BatchRefusal::Malformed, "00".into()),
        (BatchRefusal::UnknownTask, "01".into()),
        (BatchRefusal::Header, "02".into()),
        (BatchRefusal::OtherHelper, "03".into()),
        (
            BatchRefusal::TooFew {
                reports: 2,
                minimum: 300,
            },
            "0402ac02".into(),
        ),
        (BatchRefusal::TooMany, "05".into()),
        (BatchRefusal::Repeated(id), format!("06{i}")),
        (BatchRefusal::Used(id), format!("07{i}")),
        (BatchRefusal::TooFewOpened(vec![id]), format!("0801{i}")),
    ] {
        let bytes = wire::encode(&BatchReply::Refused(refusal));
        assert_eq!(bytes, unhex(&format!("0101{expected}")));
    }
}

#[test]
fn header_and_context_are_pinned() {
    let header = ReportHeader {
        ver: 1,
        suite: 1,
        task_id: TaskId([1; 16]),
        round_id: RoundId([2; 16]),
        model_digest: Digest([3; 32]),
        d: 300,
        r: 24,
        quantiser: task().quantiser,
        dp: task().dp,
        n_floor: 50,
        helper: PublicKey([4; 32]),
    };
    let expected = format!(
        "0101{}{}{}ac0218ffff030000803f80040000000000000000003 2{}",
        "01".repeat(16),
        "02".repeat(16),
        "03".repeat(32),
        "04".repeat(32)
    );
    let expected = unhex(&expected.replace(' ', ""));
    assert_eq!(header.to_bytes(), expected);
    let context = Digest::of_parts(&[b"choir/report-ctx", &expected]);
    assert_eq!(header.context().as_bytes(), &context.0);
}

#[test]
fn the_largest_messages_fit_their_limits() {
    let stage = Stage::with(6);
    let (report, _) = report_of(&round(), 7);
    assert!(report.bytes().len() <= stage.leader.report_limit());
    assert!(report.bytes().len() + 4 >= report_limit(task().ring().packed_len(VALUES + 1)));
    assert!(stage.leader.batch().expect("asks").len() <= batch_limit(6));
    let packed = task().ring().packed_len(VALUES + 1);
    let all = BatchReply::Answer(BatchAnswer {
        batch: Digest([1; 32]),
        left_out: vec![ReportId([1; 16]); 6],
        masks: vec![0; packed],
    });
    assert!(wire::encode(&all).len() <= reply_limit(6, packed));
    let refused = BatchReply::Refused(BatchRefusal::TooFewOpened(vec![ReportId([1; 16]); 6]));
    assert!(wire::encode(&refused).len() <= reply_limit(6, packed));
}
