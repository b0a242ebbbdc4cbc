"""The labels: what each means, what it is not, and where the meaning comes from.

A post may carry several labels; *none* is their absence. Context labels say why a post that
looks alike is lawful. They never excuse a post that also carries a label.
"""

from __future__ import annotations

from dataclasses import dataclass

TAXONOMY_VERSION = "1.0"

GUIDELINE_VERSION = "1.2"
"""The labelling guideline (``training/GUIDELINE.md``) that reviewers follow: how the labels are
applied to borderline cases. It is raised more often than the taxonomy is."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label or context of the taxonomy, in Indonesian and English."""

    id: str
    name_id: str
    name_en: str
    definition_id: str
    definition_en: str
    is_not_id: str
    is_not_en: str
    source: str


_UU_5_2018 = "UU 5/2018 (amending UU 15/2003)"
_EU = "Regulation (EU) 2021/784 art. 2(7)"

LABELS: tuple[Label, ...] = (
    Label(
        "incitement",
        "Hasutan",
        "Incitement",
        "Menghasut, menyerukan, atau mengajak orang melakukan kekerasan atau serangan terhadap "
        "orang, kelompok, aparat, tempat ibadah, atau fasilitas umum, secara terang atau tersirat.",
        "Urges, calls on or invites others to commit violence or an attack against people, a group, "
        "officials, a place of worship or a public facility, openly or by implication.",
        "Ajakan unjuk rasa damai, boikot, doa, atau protes keras; laporan tentang hasutan orang lain; "
        "kiasan olahraga dan permainan.",
        "A call to peaceful protest, boycott or prayer, however angry; a report on someone else's "
        "incitement; figures of speech from sport and games.",
        f"{_UU_5_2018} art. 13A; {_EU}(a)",
    ),
    Label(
        "glorification",
        "Pengagungan",
        "Glorification",
        "Memuji, merayakan, atau membenarkan serangan teror, pelakunya, atau organisasi teroris, "
        "sehingga perbuatan itu tampak patut ditiru.",
        "Praises, celebrates or justifies a terrorist attack, its perpetrators or a terrorist "
        "organisation, so that the act looks worth following.",
        "Menghormati pahlawan bangsa atau korban; doa bagi yang meninggal; berita netral tentang "
        "pelaku; dukungan damai bagi rakyat yang tertindas.",
        "Honouring national heroes or victims; prayers for the dead; neutral news about a "
        "perpetrator; peaceful support for an oppressed people.",
        f"{_EU}(a) ('glorification of terrorist acts'); {_UU_5_2018} art. 13A",
    ),
    Label(
        "recruitment",
        "Perekrutan",
        "Recruitment",
        "Mengajak bergabung dengan kelompok teroris atau mendukung kegiatannya: baiat, hijrah ke "
        "wilayah kelompok, pelatihan, atau kontak rahasia untuk bergabung.",
        "Solicits joining or assisting a terrorist group: an oath of allegiance (baiat), moving "
        "(hijrah) to a group's territory, training, or a secret contact for joining.",
        "Hijrah dalam arti memperbaiki diri; ajakan mengaji, masuk organisasi sah, TNI/Polri, atau "
        "bekerja; berita dan penelitian tentang perekrutan.",
        "Hijrah as becoming a better person; invitations to study, to lawful organisations, the "
        "forces or a job; news and research about recruitment.",
        f"{_UU_5_2018} art. 12A, 12B; {_EU}(b), (c)",
    ),
    Label(
        "financing",
        "Pendanaan",
        "Financing",
        "Meminta, mengumpulkan, menawarkan, atau menyalurkan dana atau barang untuk aksi teror, "
        "kelompok teroris, atau anggotanya.",
        "Asks for, collects, offers or moves funds or goods for a terrorist act, a terrorist group "
        "or its members.",
        "Zakat, infak, dan donasi kemanusiaan yang wajar; jual beli; berita tentang pendanaan teror.",
        "Ordinary alms, humanitarian donations and trade; news about terrorist financing.",
        "UU 9/2013 art. 4-6; International Convention for the Suppression of the Financing of "
        "Terrorism (1999) art. 2",
    ),
    Label(
        "instruction",
        "Petunjuk",
        "Instruction",
        "Memberi, menawarkan, atau meminta petunjuk membuat atau memakai bahan peledak, senjata, zat "
        "berbahaya, atau cara menyerang dan menghindari aparat untuk menyerang.",
        "Gives, offers or asks for instruction in making or using explosives, firearms, noxious "
        "substances, or in methods of attack or of evading the authorities for an attack.",
        "Pelajaran kimia, keselamatan kerja, hobi dan permainan, resep masakan, imbauan keamanan, "
        "berita tanpa rincian cara.",
        "Chemistry lessons, work safety, hobbies and games, cooking, safety notices, news without "
        "method.",
        f"{_EU}(d); {_UU_5_2018} art. 12A, 12B",
    ),
    Label(
        "threat",
        "Ancaman",
        "Threat",
        "Mengancam akan melakukan kekerasan atau serangan terhadap orang, kelompok, tempat, atau "
        "negara, termasuk ancaman palsu yang menimbulkan ketakutan luas.",
        "Threatens violence or an attack against a person, group, place or the state, hoax threats "
        "that spread wide fear included.",
        "Umpatan tanpa niat kekerasan, peringatan keselamatan atau cuaca, ancaman hukum atau gugatan, "
        "kiasan olahraga, permainan, dan asmara.",
        "Cursing without intent to harm, safety or weather warnings, legal threats, figures of speech "
        "from sport, games and love.",
        f"{_UU_5_2018} art. 6; UU 15/2003 art. 6-7; {_EU}(e)",
    ),
    Label(
        "radicalism",
        "Radikalisme",
        "Radicalism",
        "Takfir, perendahan martabat manusia, atau penolakan tatanan negara yang membenarkan "
        "kekerasan: menyatakan orang atau kelompok halal darahnya, bukan manusia, atau wajib diperangi.",
        "Takfir, dehumanisation or rejection of the state order that justifies violence: declaring "
        "people or a group fair game, less than human, or to be fought.",
        "Ideologi yang disampaikan damai, kesalehan, perbedaan mazhab, kritik keras kepada "
        "pemerintah, hinaan tanpa pembenaran kekerasan.",
        "Ideology argued peacefully, piety, differences of doctrine, harsh criticism of government, "
        "insults that do not justify violence.",
        "Perpres 7/2021 (RAN PE) annex, 'ekstremisme berbasis kekerasan yang mengarah pada "
        "terorisme'; UU 5/2018 art. 43A-43C",
    ),
)

CONTEXTS: tuple[Label, ...] = (
    Label(
        "news",
        "Berita",
        "News",
        "Melaporkan peristiwa, penangkapan, atau persidangan tanpa memihak kekerasan.",
        "Reports events, arrests or trials without siding with violence.",
        "Klaim tanggung jawab atau rilis media kelompok yang disalin sebagai pujian.",
        "A claim of responsibility or a group's own release passed on as praise.",
        "Regulation (EU) 2021/784 art. 1(3), journalistic purposes",
    ),
    Label(
        "counter_speech",
        "Kontra narasi",
        "Counter-speech",
        "Menolak, mengutuk, atau membantah kekerasan dan ajakannya, juga bila mengutipnya.",
        "Rejects, condemns or rebuts violence and calls to it, also when quoting them.",
        "Kutukan pura-pura yang diakhiri dengan ajakan.",
        "A sham condemnation that ends in a call.",
        "Regulation (EU) 2021/784 art. 1(3), preventing or countering terrorism",
    ),
    Label(
        "religious",
        "Keagamaan",
        "Religious",
        "Ibadah, kitab suci, ceramah, fikih, dan sejarah agama dalam arti wajar.",
        "Worship, scripture, sermons, religious law and history in their ordinary sense.",
        "Dalil yang dipakai untuk menyuruh menyerang orang sekarang.",
        "Scripture used to order an attack on people now.",
        "UUD 1945 art. 28E, 29",
    ),
    Label(
        "political_criticism",
        "Kritik politik",
        "Political criticism",
        "Kritik, protes, dan kemarahan politik, sekeras apa pun, tanpa ajakan kekerasan.",
        "Political criticism, protest and anger, however harsh, without a call to violence.",
        "Ajakan membunuh atau menyerang pejabat atau kelompok.",
        "A call to kill or attack officials or a group.",
        "UUD 1945 art. 28E(3); UU 9/1998",
    ),
    Label(
        "satire_figurative",
        "Satire dan kiasan",
        "Satire and figurative speech",
        "Lelucon, satire, dan kiasan: permainan, olahraga, kuliner, dagang, asmara.",
        "Jokes, satire and figures of speech: games, sport, food, trade, love.",
        "Ancaman nyata yang dibungkus 'cuma bercanda'.",
        "A real threat wrapped in 'just joking'.",
        "Regulation (EU) 2021/784 art. 1(3), artistic purposes",
    ),
    Label(
        "research_education",
        "Riset dan pendidikan",
        "Research and education",
        "Penelitian, pelajaran, sejarah, dan pertanyaan yang ingin memahami.",
        "Research, lessons, history and questions that seek to understand.",
        "Materi pelatihan kelompok yang diberi judul 'kajian'.",
        "A group's training material under the title 'study'.",
        "Regulation (EU) 2021/784 art. 1(3), educational and research purposes",
    ),
)

LABEL_IDS: tuple[str, ...] = tuple(label.id for label in LABELS)
CONTEXT_IDS: tuple[str, ...] = tuple(context.id for context in CONTEXTS)

TERRORISM = "terrorism"
"""Id of the group that holds where any of ``TERRORISM_LABELS`` holds."""

TERRORISM_LABELS: tuple[str, ...] = LABEL_IDS[:6]
"""The six labels that are terrorism in the sense of UU 5/2018 and EU 2021/784 art. 2(7)."""
